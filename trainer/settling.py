"""What an error does to a run: it waits, uses a try up, or ends. Written into its row."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from safetensors import SafetensorError

from core.errors import (
    ColumnsError,
    FileNotReadyError,
    NifosError,
    ServiceError,
    StoreError,
)
from trainer.run_row import RunLost, RunRow

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
PLACE_AWAY_S = 60.0  # before a run is tried again for which a disk or the store was away
_OS_ERROR = re.compile(r"os error (\d+)")


@contextmanager
def settled(row: RunRow) -> Iterator[None]:
    """Write what an exception does to the run into its row; only what is written is swallowed.

    A store, a disk or a file that is away or full is nobody's fault and may be back in a minute or
    after a weekend: the run waits for it, and loses nothing.
    """
    try:
        yield
    except (RunLost, ServiceError):
        raise
    except (StoreError, FileNotReadyError) as error:
        _wait(row, str(error))
    except NifosError as error:
        reason = error.brief if isinstance(error, ColumnsError) else str(error)
        _tell("retrain_failed", row, reason)
        if error.retryable:
            row.fail_try(reason, error.exit_code)
        else:
            row.fail(reason, error.exit_code)
    except Exception as error:  # noqa: BLE001 - recorded as a crash
        refusal = _disk_refusal(error)
        if refusal is not None:
            _wait(row, f"the disk refuses ({refusal}): make room under NIFOS_HOME")
            return
        reason = place_of(error)
        _tell("retrain_failed", row, reason)
        row.fail_try(reason, NifosError.exit_code)


def place_of(error: Exception) -> str:
    """Its type and place only: the message of a foreign exception may quote a document."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"


def _disk_refusal(error: Exception) -> str | None:
    """What the disk says, if it is the disk that refuses."""
    number = None
    if isinstance(error, OSError):
        number = error.errno
    elif isinstance(error, SafetensorError):  # it says so in words alone
        found = _OS_ERROR.search(str(error))
        number = None if found is None else int(found[1])
    return os.strerror(number) if number is not None and number in DISK_REFUSES else None


def _wait(row: RunRow, reason: str) -> None:
    _tell("retrain_waits", row, reason)
    row.give_back(reason, PLACE_AWAY_S)


def _tell(event: str, row: RunRow, reason: str) -> None:
    log.warning(event, run=row.claimed.run_id, reason=reason)
