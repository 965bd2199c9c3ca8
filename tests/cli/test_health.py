"""The watchdog's judgement: facts in, lines out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.health import Facts, OverdueNight, judge
from db.health import Movement

IDLE = Movement(0, 0, 0, None, None, None, None, 0.0, 0, 0, None, None)
BUSY = replace(IDLE, pending=3, running=2, still_s=20.0, due_s=1.0, published_s=0.5, claimed_s=2.0)
WELL = Facts(BUSY, workers=["nifos-1@host"], depth=3)


def _found(facts: Facts) -> dict[str, str]:
    return {problem.what: problem.words for problem in judge(facts)}


def _moved(**changes: object) -> Facts:
    return replace(WELL, movement=replace(BUSY, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "facts",
    [
        WELL,
        Facts(IDLE, workers=[], depth=0),
        replace(WELL, workers=[]),  # it starts
        _moved(still_s=599.0),
        _moved(still_s=2000.0, longest_s=700.0),  # chunks take long here
        replace(_moved(due_s=90.0, published_s=2.0), depth=0),  # the feeder works
        replace(WELL, retrain_s=5.0),
        replace(WELL, retrain_s=900.0, trainers=1),
        replace(WELL, nights=[OverdueNight("blog", "2026-11-01", "missing", 600.0)]),
        replace(WELL, disk_free=40 << 30, disk_size=1 << 40),  # little of it, but much
    ],
)
def test_what_moves_or_has_nothing_to_do_is_well(facts: Facts) -> None:
    assert judge(facts) == []


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (_moved(still_s=601.0), "still"),
        (replace(_moved(still_s=61.0), workers=[]), "worker"),
        (replace(_moved(still_s=601.0, running=0)), "taking"),
        (replace(_moved(due_s=90.0, published_s=80.0), depth=0), "feeder"),
        (replace(_moved(due_s=90.0, published_s=None), depth=0), "feeder"),
        (_moved(expired=1), "leases"),
        (Facts(replace(IDLE, failed=2, failed_reason="damaged"), [], 0), "failed"),
        (replace(WELL, retrain_s=61.0), "trainer"),
        (replace(WELL, nights=[OverdueNight("blog", "2026-11-01", "not run", 700.0)]), "night"),
        (replace(WELL, nights=[OverdueNight("blog", "2026-11-01", "failed", 1.0)]), "night"),
        (replace(WELL, disk_free=100 << 20, disk_size=100 << 30), "disk"),
    ],
)
def test_each_thing_that_does_not_move_is_one_line_with_a_command(facts: Facts, what: str) -> None:
    (problem,) = judge(facts)
    assert problem.what == what
    assert problem.command.startswith("nifos ")
    assert "\n" not in problem.words


def test_a_worker_that_answers_but_labels_nothing_is_no_health() -> None:
    facts = _moved(still_s=1800.0, reason="the GPU failed (OutOfMemoryError)", watched=1)
    assert _found(facts)["still"] == (
        "no chunk has ended for 30 minutes and 5 chunks are to be labelled;"
        " 1 ended a worker before (the last attempt: the GPU failed (OutOfMemoryError))"
    )


def test_the_time_is_the_callers_to_choose() -> None:
    assert judge(_moved(still_s=200.0), still_minutes=3)
    assert not judge(_moved(still_s=200.0), still_minutes=4)


def test_several_things_are_several_lines_the_gravest_first() -> None:
    facts = replace(_moved(still_s=900.0, expired=2, failed=1), workers=[], retrain_s=100.0)
    assert list(_found(facts)) == ["leases", "worker", "failed", "trainer"]
