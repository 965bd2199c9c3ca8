"""Have two versions compared by a process of its own: torch stays out of the asking one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from cli.output import Bar
from cli.services import Services
from core.errors import InputError, ModelError, NifosError, ServiceError
from core.settings import export_settings

_ERRORS = {error.exit_code: error for error in (InputError, ServiceError, ModelError)}


def compare_versions(services: Services, before: str, after: str, bar: Bar) -> dict[str, Any]:
    """What changes in a fixed sample of the stored documents, as `trainer.compare_process` says it.

    Raises:
        NifosError: what the process said, with its exit code.
    """
    export_settings(services.settings)
    found: dict[str, Any] = {}
    # A file takes all that the libraries may say there; a pipe that nobody reads fills up.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        with subprocess.Popen(
            [sys.executable, "-m", "trainer.compare_process", before, after],
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
        ) as process:
            try:
                for line in process.stdout or ():
                    told = json.loads(line)
                    if "sample" in told:
                        found = told["sample"]
                    else:
                        what = f"labelling by {told['version']}"
                        bar.show(what, told["done"], told["total"])
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            complaints.seek(0)
            raise _error(process.returncode, complaints.read().strip())
    return found


def _error(returncode: int, complaints: str) -> NifosError:
    if returncode < 0:
        words = f"the comparison was ended by signal {-returncode} (9 is often a lack of memory)"
        return NifosError(words)
    words = complaints.splitlines()[-1] if complaints else f"it ended with {returncode}"
    return _ERRORS.get(returncode, NifosError)(f"the versions cannot be compared: {words}")
