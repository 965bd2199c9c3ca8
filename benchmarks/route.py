"""The product's own commands with a home, servers and settings of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAUSE_S = 0.5  # between two looks at a command that runs


class Route:
    """`nifos` in a home of its own, whatever the caller's environment says.

    Args:
        home: where it keeps its servers and its data.
        processes: of its worker.
        settings: more of `NIFOS_…`.
    """

    def __init__(self, home: Path, processes: int, **settings: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NIFOS_")}
        own = {"NIFOS_HOME": str(home), "NIFOS_WORKER_PROCESSES": str(processes)}
        self._environment = kept | own | settings

    def __call__(self, *arguments: str, while_it_runs: Callable[[int], None] | None = None) -> Any:
        """What a command printed, read as JSON.

        Args:
            arguments: of `nifos`.
            while_it_runs: called twice a second with the command's pid.

        Raises:
            subprocess.CalledProcessError: its exit code is not 0.
        """
        command = [sys.executable, "-m", "cli", *arguments]
        with subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE) as running:
            while True:
                try:
                    printed, _ = running.communicate(timeout=PAUSE_S)
                    break
                except subprocess.TimeoutExpired:
                    if while_it_runs is not None:
                        while_it_runs(running.pid)
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, command)
        return json.loads(printed)
