"""What a module that a command runs in a process of its own tells it, and how it ends.

JSON objects on stdout, one a line; when it fails, the last line on stderr says why and the exit
code of what kind. `cli.child` listens. It knows nothing of what is told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from core.errors import NifosError

INTERRUPTED = 130


def tell(**facts: Any) -> None:
    """Write an object of these facts, at once."""
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def run_told(work: Callable[[], None]) -> int:
    """Do the module's work. Returns the exit code of its process."""
    try:
        work()
    except NifosError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except (KeyboardInterrupt, BrokenPipeError):  # of the terminal; or the command is gone
        return INTERRUPTED
    return 0
