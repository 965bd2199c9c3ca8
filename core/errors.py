"""The exception tree: what went wrong, what to do, and with which exit code the command ends.

`retryable` decides a scoring's fate: a retryable error returns it to pending without using up one
of its tries, any other uses one up. It knows nothing of where an error is raised or shown.
"""

from __future__ import annotations

from typing import ClassVar


class NifosError(Exception):
    """The root. `str(error)` is one line that a person can act on, without any document's text."""

    exit_code: int = 1
    retryable: ClassVar[bool] = False


class InputError(NifosError):
    """Wrong usage, or input that cannot be read (exit 2)."""

    exit_code = 2


class ColumnsError(InputError):
    """The columns of a file cannot be settled.

    `brief` says so without them: where a file has no header, they are a document.
    """

    def __init__(self, brief: str, found: str) -> None:
        super().__init__(f"{brief} {found}")
        self.brief = brief


class FileNotReadyError(InputError):
    """A file cannot be read at this moment: it is being written, or its disk fails (exit 2)."""

    retryable = True


class ServiceError(NifosError):
    """A service cannot be reached or is not ready (exit 3). Passing by nature, so retryable."""

    exit_code = 3
    retryable = True


class DatabaseError(ServiceError):
    """PostgreSQL cannot be reached, refuses, or has not been migrated."""


class BrokerError(ServiceError):
    """Redis cannot be reached or refuses."""


class ModelError(NifosError):
    """The model cannot be used: missing, damaged, of another label set, no such device (exit 4)."""

    exit_code = 4


class DeviceError(ModelError):
    """A GPU ran out of memory or broke: the process is to be replaced, no chunk is at fault."""

    retryable = True


class StoreError(ModelError):
    """The model store cannot be reached, or disk or memory has no room for a version (exit 4).

    Passing, unlike a damaged version.
    """

    retryable = True
