"""Import OpenVINO and NNCF so that they send nothing.

Both report their use to their maker through the package `openvino_telemetry`, and leave a mark and
a client's id in the user's home. Both have a stub of their own for where that package is not
installed ("No telemetry will be sent"); here it is made so that it is not, for this process alone.
Nothing in the user's home is read or changed.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

TELEMETRY = "openvino_telemetry"


def import_openvino() -> Any:
    """The module `openvino`.

    Raises:
        ImportError: the extra is not installed.
    """
    _stop_telemetry()
    return importlib.import_module("openvino")


def import_nncf() -> Any:
    """The module `nncf`. It takes over logging and prints: for a process of its own.

    Raises:
        ImportError: the extra is not installed.
    """
    _stop_telemetry()
    return importlib.import_module("nncf")


def _stop_telemetry() -> None:
    # None in sys.modules is Python's own way to make an import fail as if nothing were there.
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]
