"""What a child does before its first message."""

from __future__ import annotations

from typing import NoReturn

import pytest

from core.errors import DeviceError, ModelError, NifosError
from worker import tasks


class _Ended(BaseException):
    """Instead of the end of this process: its exit code, and how long it had waited."""


class _Loading:
    """Instead of what a child loads versions by."""

    def __init__(self, error: NifosError) -> None:
        self._error = error

    def load_active(self) -> NoReturn:
        raise self._error


def _prepare(monkeypatch: pytest.MonkeyPatch, error: NifosError) -> None:
    waited: list[float] = []

    def end(exit_code: int) -> NoReturn:
        raise _Ended(exit_code, sum(waited))

    monkeypatch.setattr(tasks, "configure_logs", lambda _settings: None)
    monkeypatch.setattr(tasks, "_child", lambda: (_Loading(error), None))
    monkeypatch.setattr(tasks.time, "sleep", waited.append)
    monkeypatch.setattr(tasks.os, "_exit", end)
    tasks.prepare_child()


def test_a_child_that_the_gpu_failed_ends_and_is_not_replaced_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(_Ended) as ended:
        _prepare(monkeypatch, DeviceError("the GPU failed"))
    exit_code, waited_s = ended.value.args
    assert exit_code == DeviceError.exit_code
    assert waited_s >= 5  # or a GPU that stays broken keeps a core busy


def test_a_child_whose_version_is_damaged_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    _prepare(monkeypatch, ModelError("config.json is damaged"))
