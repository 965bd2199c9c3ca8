"""On which device a script computes, and in how many processes."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks import end_to_end, engines, machine, sql


class _Begun(Exception):
    """Instead of the measuring: what the bare classifier was to be made with."""


@pytest.mark.parametrize(
    ("device", "there", "processes"),
    [("auto", "cuda:0", 2), ("A4000", "cuda:0", 2), ("auto", "cpu", None), ("cpu", "cuda:0", None)],
)
def test_the_route_has_as_many_processes_as_a_worker_there(
    monkeypatch: pytest.MonkeyPatch, device: str, there: str, processes: int | None
) -> None:
    monkeypatch.setattr(engines, "resolve_device", lambda _name: there)
    monkeypatch.setattr(sys, "argv", ["end_to_end", "--data", "none", "--device", device])
    assert end_to_end._parse().processes == (processes or machine.cores())


def test_the_database_side_is_measured_beside_the_device_that_is_named(
    monkeypatch: pytest.MonkeyPatch, reviews_file: Path
) -> None:
    def begin(make: object, device: str) -> NoReturn:
        raise _Begun(make, device)

    monkeypatch.setattr(sql, "resolve_device", {"A4000": "cuda:0"}.__getitem__)
    monkeypatch.setattr(sql, "_loaded", nullcontext)
    monkeypatch.setattr(sql, "Crew", begin)
    monkeypatch.setattr(sys, "argv", ["sql", "--data", str(reviews_file), "--device", "A4000"])
    with pytest.raises(_Begun) as begun:
        sql.main()
    assert begun.value.args == (sql.make_bare, "cuda:0")
