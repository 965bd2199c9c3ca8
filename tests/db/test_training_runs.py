"""The life of a training run, statement by statement, on a real PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from core.errors import NifosError
from core.messages import ScoringKey
from db import locks, training_leases, training_runs
from db.annotations import annotated_texts
from db.engine import Engine, session, transaction
from db.training_leases import Claim, End
from db.training_runs import TrainingRun

REQUEST = {"data": ["/data/a.csv"], "when": "now"}


def _ask(engine: Engine, **changes: object) -> int:
    with transaction(engine) as connection:
        return training_runs.request_run(connection, REQUEST | changes, "kim@desk")


def _claim(engine: Engine, holder: str = "me") -> Claim | None:
    with transaction(engine) as connection:
        return training_leases.claim(connection, holder)


def _claimed(engine: Engine, holder: str = "me") -> Claim:
    claimed = _claim(engine, holder)
    assert claimed is not None
    return claimed


def _run(engine: Engine, run_id: int) -> TrainingRun:
    with transaction(engine) as connection:
        run = training_runs.get_run(connection, run_id)
    assert run is not None
    return run


def _set(engine: Engine, assignment: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text(f"update training_run set {assignment}"))


def test_a_second_request_is_told_of_the_first_and_how_far_it_is(engine: Engine) -> None:
    run_id = _ask(engine)
    with pytest.raises(NifosError, match=f"retrain {run_id} is queued; there is one at a time"):
        _ask(engine)
    claimed = _claimed(engine)
    with transaction(engine) as connection:
        progress = {"stage": "fitting", "epoch": 2.25, "epochs": 10.0}
        assert training_leases.record_progress(connection, claimed, progress)
    with pytest.raises(NifosError, match=r"is running \(epoch 2\.2 of 10\).*--cancel"):
        _ask(engine)
    with transaction(engine) as connection:
        assert training_leases.end_run(connection, claimed, End("failed", 1, "no luck"))
    assert _ask(engine) > run_id


def test_a_message_that_comes_twice_is_one_request(engine: Engine) -> None:
    def hear() -> int:
        with transaction(engine) as connection:
            return training_runs.request_run(connection, REQUEST, "crawler", "task-1")

    first = hear()
    assert hear() == first
    claimed = _claimed(engine)
    with transaction(engine) as connection:
        training_leases.end_run(connection, claimed, End("failed", 1, "no luck"))
    assert hear() == first, "also when its run has ended"
    assert _claim(engine) is None


def test_a_run_is_claimed_once(engine: Engine) -> None:
    run_id = _ask(engine)
    with transaction(engine) as one:
        assert training_leases.claim(one, "me") == Claim(run_id, 1)
        with transaction(engine) as two:
            assert training_leases.claim(two, "you") is None
    assert _claim(engine, "you") is None
    assert _run(engine, run_id).started_at is not None


def test_idle_waits_until_no_scoring_is_open(engine: Engine, key: ScoringKey) -> None:
    _ask(engine, when="idle")
    for state in ("pending", "running"):
        with transaction(engine) as connection:
            lease = "now(), holder = 'w'" if state == "running" else "null"
            connection.execute(text(f"update scoring set state = '{state}', lease_until = {lease}"))
        assert _claim(engine) is None
    with transaction(engine) as connection:
        connection.execute(text("update scoring set state = 'failed', lease_until = null"))
    assert _claim(engine) is not None


def test_now_does_not_wait_for_scorings(engine: Engine, key: ScoringKey) -> None:
    _ask(engine)
    assert _claim(engine) is not None


def test_an_expired_lease_costs_a_try_and_the_old_holder_writes_nothing(engine: Engine) -> None:
    run_id = _ask(engine)
    first = _claimed(engine)
    with transaction(engine) as connection:
        assert training_leases.renew_lease(connection, first) == {}
        assert training_leases.return_expired(connection) == 0
    _set(engine, "lease_until = now() - interval '1 second'")
    with transaction(engine) as connection:
        assert training_leases.return_expired(connection) == 1
    assert _claim(engine) is None, "a little later"
    _set(engine, "next_try_at = now()")
    second = _claimed(engine, "you")
    assert second == Claim(run_id, 2)
    with transaction(engine) as connection:
        assert not training_leases.is_ours(connection, first)
        assert not training_leases.hold(connection, first)
        assert training_leases.renew_lease(connection, first) is None
        assert not training_leases.record_progress(connection, first, {"epoch": 9})
        assert not training_leases.end_run(connection, first, End("failed", 1))
        training_leases.give_back(connection, first, "no", 0)
        training_leases.fail_try(connection, first, "no")
        assert training_leases.is_ours(connection, second)
    run = _run(engine, run_id)
    assert (run.state, run.attempt, run.tries, run.progress) == ("running", 2, 1, {})


def test_three_crashes_are_the_end(engine: Engine) -> None:
    run_id = _ask(engine)
    for crash in (1, 2, 3):
        claimed = _claimed(engine)
        with transaction(engine) as connection:
            training_leases.fail_try(connection, claimed, "it died (SIGKILL)")
        assert _run(engine, run_id).tries == crash
        _set(engine, "next_try_at = now()")
    run = _run(engine, run_id)
    assert (run.state, run.reason, run.exit_code) == ("failed", "it died (SIGKILL)", 1)
    assert run.finished_at is not None
    assert _claim(engine) is None


def _crash_at(engine: Engine, steps: list[int]) -> TrainingRun:
    """A fit that is taken up at these steps, and dies each time."""
    run_id = _ask(engine)
    for step in steps:
        _set(engine, "next_try_at = now()")
        claimed = _claimed(engine)
        with transaction(engine) as connection:
            training_leases.record_resumption(connection, claimed, step)
            training_leases.record_progress(connection, claimed, {"step": step + 7})
            training_leases.fail_try(connection, claimed, "the power was cut")
    return _run(engine, run_id)


def test_crashes_of_a_fit_that_gets_further_are_no_end(engine: Engine) -> None:
    run = _crash_at(engine, [1, 100, 200, 300, 400])
    assert (run.state, run.tries) == ("queued", 1)


def test_crashes_at_one_place_are_the_end(engine: Engine) -> None:
    """However far it came between: what was not kept is no progress."""
    run = _crash_at(engine, [1, 100, 100, 100])
    assert (run.state, run.tries) == ("failed", 3)


def test_a_stop_on_purpose_costs_no_try(engine: Engine) -> None:
    run_id = _ask(engine)
    claimed = _claimed(engine)
    with transaction(engine) as connection:
        training_leases.give_back(connection, claimed, "stopped", 0)
    assert (_run(engine, run_id).state, _run(engine, run_id).tries) == ("queued", 0)
    _claimed(engine, "machine/1/2")
    with transaction(engine) as connection:
        assert training_leases.lease_holders(connection, "machine") == ["machine/1/2"]
        assert training_leases.give_back_held_by(connection, ["machine/1/2"], "stopped") == 1
    _claimed(engine, "machine/1/2")
    with transaction(engine) as connection:
        assert training_leases.return_held_by(connection, ["machine/1/2"]) == 1
    run = _run(engine, run_id)
    assert (run.tries, run.reason) == (1, "its trainer died")


def test_cancelling_ends_what_is_queued_or_running(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert training_runs.cancel_run(connection, "kim") is None
    for begin in (lambda: None, lambda: _claim(engine)):
        run_id = _ask(engine)
        begin()
        with transaction(engine) as connection:
            assert training_runs.cancel_run(connection, "kim") is not None
        run = _run(engine, run_id)
        assert (run.state, run.reason, run.open) == ("failed", "cancelled by kim", False)
    assert _claim(engine) is None


def test_an_end_is_kept_whole(engine: Engine, active_version: int) -> None:
    run_id = _ask(engine)
    claimed = _claimed(engine)
    verdict = {"passed": False, "reasons": ["recall of neutral fell by 9 points"]}
    with transaction(engine) as connection:
        assert training_leases.hold(connection, claimed)
        end = End("blocked", 1, "recall of neutral fell", verdict, active_version)
        assert training_leases.end_run(connection, claimed, end)
    run = _run(engine, run_id)
    assert (run.state, run.exit_code, run.verdict, run.version) == ("blocked", 1, verdict, "v1")
    with transaction(engine) as connection:
        (listed,) = training_runs.list_runs(connection, 5)
        assert listed == run
        shown = connection.execute(text("select * from training_status")).one()
    assert (shown.run, shown.state, shown.version) == (run_id, "blocked", "v1")


def test_trainers_can_be_counted(engine: Engine) -> None:
    with session(engine) as one, session(engine) as two:
        assert locks.count_trainers(two) == 0
        locks.show_trainer(one)
        locks.show_trainer(two)
        assert locks.count_trainers(one) == 2
        locks.hide_trainer(one)
        assert locks.count_trainers(one) == 1
        locks.hide_trainer(two)
    with transaction(engine) as connection:
        assert locks.count_trainers(connection) == 0


def test_annotations_come_with_their_texts(engine: Engine, key: ScoringKey) -> None:
    add = (
        "insert into annotation (document_id, label, annotator)"
        " select min(id), cast(:label as sentiment_label), :who from document"
    )
    with transaction(engine) as connection:
        for who, label in (("kim", "neutral"), ("lee", "positive")):
            connection.execute(text(add), {"who": who, "label": label})
        first = connection.scalar(text("select text from document order by id limit 1"))
        found = annotated_texts(connection)
    assert sorted(found) == [(first, "neutral"), (first, "positive")]
