"""What each kind of error does to a run."""

from __future__ import annotations

import errno
import os
from typing import cast

import pytest
from safetensors import SafetensorError

from core.errors import (
    ColumnsError,
    DatabaseError,
    DeviceError,
    FileNotReadyError,
    InputError,
    ModelError,
    StoreError,
)
from db.training_leases import Claim
from trainer.run_row import RunLost, RunRow
from trainer.settling import PLACE_AWAY_S, settled

SECRET = "쓸모없는비밀"


class _Row:
    """Notes what is written."""

    claimed = Claim(1, 1)

    def __init__(self) -> None:
        self.written: tuple[str, str, float] | None = None

    def give_back(self, reason: str, delay_s: float) -> None:
        self.written = ("waits", reason, delay_s)

    def fail_try(self, reason: str, exit_code: int) -> None:
        self.written = ("try", reason, exit_code)

    def fail(self, reason: str, exit_code: int) -> None:
        self.written = ("failed", reason, exit_code)


def _settle(error: BaseException) -> tuple[str, str, float]:
    row = _Row()
    with settled(cast(RunRow, row)):
        raise error
    assert row.written is not None
    return row.written


@pytest.mark.parametrize(
    "error",
    [
        StoreError("the store is away"),
        FileNotReadyError("a.csv is being written"),
        OSError(errno.ENOSPC, "words of a library"),
        PermissionError(errno.EACCES, "words of a library"),
        SafetensorError("Error while serializing: IoError: words (os error 28)"),
    ],
)
def test_what_is_away_or_full_is_waited_for(error: Exception) -> None:
    what, reason, delay_s = _settle(error)
    assert (what, delay_s) == ("waits", PLACE_AWAY_S)
    if isinstance(error, StoreError | FileNotReadyError):
        assert reason == str(error)
    else:
        assert "make room under NIFOS_HOME" in reason
        assert os.strerror(errno.ENOSPC) in reason or os.strerror(errno.EACCES) in reason


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (DeviceError("the GPU broke"), 4),
        (ValueError(SECRET), 1),
        (SafetensorError(SECRET), 1),
        (FileNotFoundError(errno.ENOENT, SECRET), 1),
    ],
)
def test_what_may_be_a_fault_costs_a_try(error: Exception, exit_code: int) -> None:
    what, reason, code = _settle(error)
    assert (what, code) == ("try", exit_code)
    assert SECRET not in reason


@pytest.mark.parametrize(
    ("error", "reason", "exit_code"),
    [
        (InputError("no such file"), "no such file", 2),
        (ModelError("it is damaged"), "it is damaged", 4),
        (ColumnsError("a.csv: no column 'text'", SECRET), "a.csv: no column 'text'", 2),
    ],
)
def test_what_stays_wrong_ends_it(error: Exception, reason: str, exit_code: int) -> None:
    assert _settle(error) == ("failed", reason, exit_code)


@pytest.mark.parametrize("error", [RunLost(), DatabaseError("away")])
def test_what_the_row_cannot_take_goes_on(error: Exception) -> None:
    with pytest.raises(type(error)):
        _settle(error)
