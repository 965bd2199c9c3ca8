"""Run a module of ours in a process of its own, which may load torch: JSON lines come back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from core.errors import InputError, ModelError, NifosError, ServiceError
from core.settings import Settings, export_settings

_ERRORS = {error.exit_code: error for error in (InputError, ServiceError, ModelError)}


def run_module(
    module: str, arguments: Sequence[str], settings: Settings, *, failed: str
) -> Iterator[dict[str, Any]]:
    """Run `python -m module arguments` and give the JSON objects that it writes, as they come.

    Args:
        module: writes an object a line to stdout; when it fails, its last line on stderr says why.
        arguments: of the module.
        settings: with both URLs settled; it gets them by its environment.
        failed: what could not be done, to begin the error with.

    Raises:
        NifosError: what the process said, of the kind that its exit code means.
    """
    export_settings(settings)
    # A file takes all that the libraries may say there; a pipe that nobody reads fills up.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        with subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
        ) as process:
            try:
                for line in process.stdout or ():
                    yield json.loads(line)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            complaints.seek(0)
            raise _error(process.returncode, complaints.read().strip(), failed)


def _error(returncode: int, complaints: str, failed: str) -> NifosError:
    if returncode < 0:
        words = f"its process was ended by signal {-returncode} (9 is often a lack of memory)"
        return NifosError(f"{failed}: {words}")
    words = complaints.splitlines()[-1] if complaints else f"it ended with {returncode}"
    return _ERRORS.get(returncode, NifosError)(f"{failed}: {words}")
