"""One process of the product, started again when it dies, as a service manager would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
RESTART_DELAY_S = 0.3


class Service:
    """`nifos WORDS…` kept running, its output in a file.

    The process group is its own, so that nothing of it survives `end`.
    """

    def __init__(
        self, name: str, words: Sequence[str], environment: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self.words = list(words)
        self.environment = dict(environment)
        self.log = logs / f"{name}.log"
        self.starts = 0
        self.strange_ends: list[str] = []
        self._wanted = True
        self._start_at = 0.0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    @property
    def pid(self) -> int:
        """Of the parent process; 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def children(self) -> list[psutil.Process]:
        """The processes that label, those that are ready to."""
        with suppress(psutil.Error):
            found = psutil.Process(self.pid).children() if self.pid else []
            return [child for child in found if "spawn_main" in " ".join(child.cmdline())]
        return []

    def look(self) -> None:
        """Start it again if it is to run and does not."""
        with self._lock:
            if not self._wanted or self.pid:
                return
            now = time.monotonic()
            if not self._start_at:
                self._judge_end()
                self._start_at = now + RESTART_DELAY_S
            elif now >= self._start_at:
                self._start_at = 0.0
                self._start()

    def _judge_end(self) -> None:
        """Faults kill, and who finds no server ends with a code: no other signal is to be seen."""
        code = self._process.poll() if self._process is not None else None
        killed = code in (-signal.SIGKILL, -signal.SIGTERM)
        if code is not None and code < 0 and not killed:
            self.strange_ends.append(f"ended with {code}")

    def redeploy(self, **changes: str) -> None:
        """End it in good order and start it with another environment."""
        self.stop()
        with self._lock:
            self.environment |= changes
            self._wanted = True
            self._start_at = 0.0
            self._start()

    def stop(self, patience_s: float = 30.0) -> None:
        """SIGTERM, and SIGKILL where that is not heard in time."""
        with self._lock:
            self._wanted = False
            process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.end()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal its whole group, if it is there. One that is killed is started again."""
        pid = self.pid
        if pid:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def end(self) -> None:
        """Kill its whole group."""
        with self._lock:
            self._wanted = False
            if self._process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _start(self) -> None:
        if self._process is not None:  # a child of a parent that was killed does not stay
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGCONT)
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker", *self.words],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
