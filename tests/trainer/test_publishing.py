"""From a judged candidate to its rows, however that is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import DatabaseError, StoreError
from db import training_leases, training_runs, versions
from db.engine import Connection, Engine, transaction
from db.training_runs import TrainingRun
from db.versions import VersionRow
from sentiment.store import Store, verify
from tests.retrains import activate, active_name, try_again
from tests.tiny_version import build_tiny_version
from trainer import loop, run_row
from trainer.publishing import Publisher


def _other_becomes_active(
    engine: Engine, store: Store, made: Path, patched: pytest.MonkeyPatch, times: int
) -> list[str]:
    """After a version was put into the store, so many times. Returns the names that were put."""
    put: list[str] = []
    really = Store.publish

    def publish_and_activate(given: Store, directory: Path, name: str) -> None:
        really(given, directory, name)
        put.append(name)
        if len(put) <= times:
            other = build_tiny_version(made / f"other-{len(put)}", seed=len(put))
            patched.setattr(Store, "publish", really)
            activate(engine, store, other, other.name)
            patched.setattr(Store, "publish", publish_and_activate)

    patched.setattr(Store, "publish", publish_and_activate)
    return put


def test_another_that_becomes_active_after_the_store_has_it_leaves_nothing_behind(
    engine: Engine,
    store: Store,
    base: VersionRow,
    tmp_path: Path,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = _other_becomes_active(engine, store, tmp_path / "made", monkeypatch, times=2)
    run = attempt()
    assert run.state == "published", run.reason
    assert put == [run.version] * 3, "the name was free again each time"
    assert sorted(store.names()) == sorted(["base", "other-1", "other-2", str(run.version)])


class _Killed(BaseException):
    """As a kill does: nothing after it is run, and the row stays as it is."""


def _abandoned(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert training_leases.return_held_by(connection, ["me"]) == 1


def test_killed_between_store_and_rows_the_next_attempt_publishes_once(
    engine: Engine, store: Store, base: VersionRow, attempt: Callable[..., TrainingRun]
) -> None:
    with pytest.MonkeyPatch.context() as patched:

        def kill(*_given: object) -> None:
            raise _Killed

        patched.setattr(Publisher, "_register", kill)
        with pytest.raises(_Killed):
            attempt()
    (_base, left) = sorted(store.names(), key=lambda name: name != "base")
    _abandoned(engine)
    run = try_again(engine)
    assert run.state == "published", run.reason
    assert run.version == left, "its directory was taken back, its name used again"
    assert len(store.names()) == 2
    with transaction(engine) as connection:
        named = [version.name for version in versions.list_versions(connection)]
        version = versions.find_version(connection, left)
    assert named == ["base", left]
    assert version is not None
    assert store.fetch(left, version.checksums).exists()


def test_a_name_that_another_database_has_used_is_not_touched(
    engine: Engine,
    store: Store,
    base: VersionRow,
    fitted: Path,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is there beforehand, and one that comes in between look and publish."""
    really, put = Store.publish, []

    def be_slower(given: Store, directory: Path, name: str) -> None:
        put.append(name)
        if len(put) == 1:
            really(given, fitted, name)
        really(given, directory, name)

    monkeypatch.setattr(Store, "publish", be_slower)
    run = attempt()
    assert run.state == "published", run.reason
    assert run.version == f"{put[0]}-2"
    assert put == [put[0], run.version]
    assert verify(store.fetch(put[0])).checksums() == verify(fitted).checksums()


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_in_doubt_ends_published_once(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
    committed: bool,
) -> None:
    """The answer to a COMMIT is lost, after it has happened or before."""
    really, asked = Publisher._register, []

    def lose_the_answer(publisher: Publisher, connection: Connection, *given: Any) -> None:
        asked.append(given)
        really(publisher, connection, *given)
        if len(asked) == 1:
            if committed:
                connection.commit()
            raise DatabaseError("the connection is lost")

    monkeypatch.setattr(Publisher, "_register", lose_the_answer)
    monkeypatch.setattr(run_row, "COMMIT_RETRY_S", 0.0)
    run = attempt()
    assert len(asked) == (1 if committed else 2)
    assert run.state == "published", run.reason
    assert active_name(engine) == run.version
    assert sorted(store.names()) == sorted(["base", str(run.version)])


def test_a_run_that_is_cancelled_after_the_store_has_it_leaves_nothing_behind(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = Store.publish

    def publish_and_cancel(*given: Any) -> None:
        really(*given)
        with transaction(engine) as connection:
            training_runs.cancel_run(connection, "lee")

    monkeypatch.setattr(Store, "publish", publish_and_cancel)
    assert attempt().reason == "cancelled by lee"
    assert store.names() == ["base"]


def test_a_store_that_is_away_when_all_is_done_costs_time_and_nothing_else(
    engine: Engine,
    store: Store,
    base: VersionRow,
    attempt: Callable[..., TrainingRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = StoreError("model store s3://models: ConnectTimeout")

    def refuse(*_given: object) -> None:
        raise away

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "publish", refuse)
        first = attempt()
        again = [try_again(engine) for _ in range(training_leases.MAX_TRIES)]
    assert {(run.state, run.tries, run.reason) for run in (first, *again)} == {
        ("queued", 0, str(away))
    }

    def fit_anew(*_given: object, **_named: object) -> None:
        raise AssertionError("the fit is repeated")

    monkeypatch.setattr(loop.FitTrainer, "train", fit_anew)
    run = try_again(engine)
    assert run.state == "published", run.reason
    assert run.progress["fit"] == first.progress["fit"]
    assert active_name(engine) == run.version
