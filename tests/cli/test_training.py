"""Who trains a run that a command waits for, and what it tells meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text

from cli import training
from cli.commands.retrain import _with_whole_base
from cli.output import progress_bar
from cli.services import Services
from cli.training_output import run_as_json
from core.settings import Settings
from db import training_leases, training_runs
from db.engine import Engine, transaction
from db.training_runs import TrainingRun
from sentiment.store import Store
from tests.acceptance.command import wait_until
from tests.tiny_version import build_tiny_version
from trainer.request import RetrainRequest
from trainer.workdir import hold_workdir, run_identity


@pytest.fixture
def services(engine: Engine, tmp_path: Path) -> Services:
    found = SimpleNamespace(engine=engine, settings=Settings(home=tmp_path), servers=None)
    return cast(Services, found)


@pytest.fixture
def run(engine: Engine) -> TrainingRun:
    with transaction(engine) as connection:
        run_id = training_runs.request_run(connection, {"when": "now"}, "kim")
        found = training_runs.get_run(connection, run_id)
    assert found is not None
    return found


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What became of a trainer of one's own: it began, it ended. It trains nothing."""
    known: list[str] = []

    @contextmanager
    def service(*_given: object) -> Iterator[None]:
        known.append("began")
        yield
        known.append("ended")

    monkeypatch.setattr(training, "TrainingService", service)
    monkeypatch.setattr(training, "export_settings", lambda _settings: None)
    monkeypatch.setattr(training, "POLL_S", 0.02)
    monkeypatch.setattr(training, "TRAINER_RETURNS_S", 0.1)
    return known


@contextmanager
def _followed(
    services: Services, run: TrainingRun, capsys: pytest.CaptureFixture[str], *, asked: bool
) -> Iterator[Callable[[], str]]:
    """A command that waits; gives all that it has said so far. The run ends with the block."""
    said: list[str] = []

    def hear() -> str:
        said.append(capsys.readouterr().err.replace("\n", " "))
        return "".join(said)

    def wait() -> None:
        with progress_bar(quiet=True) as bar:
            training.follow(services, run.id, bar, asked=asked)

    command = threading.Thread(target=wait, daemon=True)
    command.start()
    try:
        yield hear
    finally:
        with transaction(services.engine) as connection:
            training_runs.cancel_run(connection, "kim")
        command.join(10)
    assert not command.is_alive()


def _begin(engine: Engine, holder: str = "elsewhere/1/1") -> training_leases.Claim:
    with transaction(engine) as connection:
        claimed = training_leases.claim(connection, holder)
    assert claimed is not None
    return claimed


def _give_back(engine: Engine, claimed: training_leases.Claim, reason: str) -> None:
    with transaction(engine) as connection:
        training_leases.give_back(connection, claimed, reason, 600)


@pytest.mark.parametrize("asked", [True, False])
def test_what_nobody_has_begun_is_trained_here(
    services: Services,
    run: TrainingRun,
    trained_here: list[str],
    capsys: pytest.CaptureFixture[str],
    asked: bool,
) -> None:
    with _followed(services, run, capsys, asked=asked) as said:
        wait_until("it trains", lambda: trained_here == ["began"])
        wait_until("it says so", lambda: asked or "is trained here" in said())
    assert trained_here == ["began", "ended"]


@pytest.mark.parametrize("state", ["running", "queued"])
@pytest.mark.parametrize("asked", [True, False])
def test_what_another_trainer_has_begun_is_followed_only(
    engine: Engine,
    services: Services,
    run: TrainingRun,
    trained_here: list[str],
    capsys: pytest.CaptureFixture[str],
    asked: bool,
    state: str,
) -> None:
    claimed = _begin(engine)
    if state == "queued":
        _give_back(engine, claimed, "stopped")
    with _followed(services, run, capsys, asked=asked) as said:
        wait_until("it says so", lambda: "begun by a trainer that is away" in said())
    assert trained_here == []


def test_what_was_begun_on_this_machine_goes_on_here(
    engine: Engine,
    services: Services,
    run: TrainingRun,
    trained_here: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    _give_back(engine, _begin(engine), "stopped")
    with hold_workdir(services.settings.training_home / f"run-{run.id}", run_identity(run)):
        pass
    with _followed(services, run, capsys, asked=False):
        wait_until("it trains", lambda: trained_here == ["began"])


def test_the_own_trainer_goes_when_another_was_faster(
    engine: Engine,
    services: Services,
    run: TrainingRun,
    trained_here: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Or it would take the run over when that one is restarted."""
    with _followed(services, run, capsys, asked=True):
        wait_until("it would train", lambda: trained_here == ["began"])
        _begin(engine)
        wait_until("it has gone", lambda: trained_here == ["began", "ended"])


def test_why_a_run_waits_is_said_once(
    engine: Engine,
    services: Services,
    run: TrainingRun,
    trained_here: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    full = "the disk refuses (No space left on device): make room under NIFOS_HOME"
    _give_back(engine, _begin(engine), full)
    line = f"retrain {run.id} waits, and is tried again by itself: {full}"
    with _followed(services, run, capsys, asked=False) as said:
        wait_until("it is said", lambda: line in said())
        with transaction(engine) as connection:
            connection.execute(text("update training_run set next_try_at = now()"))
        _give_back(engine, _begin(engine), full)
        wait_until("the rest is said", lambda: "that is away" in said())
        assert said().count(line) == 1


def test_a_folder_is_named_by_its_whole_path_unless_a_version_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "models"), tmp_path / "cache")
    store.publish(build_tiny_version(tmp_path / "made" / "starter"), "starter")
    with_store = cast(Services, SimpleNamespace(store=store))
    for name in ("my-base", "starter"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    resolved = {
        base: _with_whole_base(with_store, RetrainRequest(base=base)).base
        for base in ("my-base", "./my-base", "starter", "./starter", "monologg/koelectra")
    }
    assert resolved == {
        "my-base": str(tmp_path / "my-base"),
        "./my-base": str(tmp_path / "my-base"),
        "starter": "starter",
        "./starter": str(tmp_path / "starter"),
        "monologg/koelectra": "monologg/koelectra",
    }


def test_a_page_is_shown_where_it_is_and_never_fetched(
    tmp_path: Path, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = build_tiny_version(tmp_path / "made" / "v2")
    store = Store(f"file://{tmp_path}/models", tmp_path / "cache")
    store.publish(version, "v2")
    published = replace(run, state="published", version="v2")
    with_store = cast(Services, SimpleNamespace(store=store))
    assert run_as_json(with_store, published)["report"] is None
    assert not (tmp_path / "cache").exists()
    local = Store(str(tmp_path / "models"), tmp_path / "cache")
    (tmp_path / "models" / "v2" / "report.html").write_text("page")
    with_store = cast(Services, SimpleNamespace(store=local))
    found = run_as_json(with_store, published)["report"]
    assert found == str(tmp_path / "models" / "v2" / "report.html")
