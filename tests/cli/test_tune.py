"""`nifos tune` as a function: it measures a tiny real version in processes of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from cli.commands.doctor import _model
from cli.commands.tune import tune
from cli.commands.worker import count_processes
from core.errors import InputError, ModelError
from core.settings import load_settings
from db.engine import Engine, transaction
from sentiment.store import Store
from sentiment.tuning import TUNING, count_cores, read_tuning
from tests.published import publish_version
from tests.tiny_version import build_tiny_version


@pytest.fixture
def home(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home whose store holds the active version `tiny`."""
    home = tmp_path / "home"
    for name, value in (
        ("DATABASE_URL", database_url),
        ("HOME", home),
        ("MODEL_STORE", tmp_path / "store"),
        ("DEVICE", "cpu"),
        ("PRECISION", "fp32"),  # of each engine one, and no calibration for int8
    ):
        monkeypatch.setenv(f"NIFOS_{name}", str(value))
    made = build_tiny_version(tmp_path / "made")
    publish_version(engine, Store(str(tmp_path / "store"), home / "cache"), made, "tiny")
    return home


@pytest.fixture
def one_core() -> Iterator[None]:
    """One process is measured instead of as many as there are cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_what_was_measured_is_shown_kept_and_used(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = psutil.Process().children()  # other tests' helpers, such as a resource tracker
    tune(quick=True, json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["version"] == "tiny"
    assert shown["texts"] == "texts of the program's own"
    measured = [trial for trial in shown["trials"] if not trial["refused"]]
    assert measured
    assert all(trial["documents_per_s"] > 0 for trial in measured)
    assert {trial["candidate"]["precision"] for trial in measured} == {"fp32"}

    found = read_tuning(home, "tiny", device="cpu")
    assert found is not None
    assert found.__dict__ == shown["tuning"]
    settings = load_settings()
    assert count_processes(settings, found) == found.processes
    assert f"{found.batch_tokens} tokens a batch" in _model(settings)
    assert psutil.Process().children() == before


def test_an_unknown_version_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match="models list"):
        tune(version="none")
    assert not (home / TUNING).exists()


def test_a_device_that_is_not_there_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIFOS_DEVICE", "abacus")
    with pytest.raises(ModelError, match="no such GPU"):
        tune()


def test_a_version_that_was_damaged_is_not_measured(home: Path, tmp_path: Path) -> None:
    (tmp_path / "store" / "tiny" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        tune()


def test_workers_know_nothing_of_another_precision_and_little_of_a_damaged_file(
    home: Path,
    engine: Engine,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    home.mkdir(exist_ok=True)
    (home / TUNING).write_text("{")
    settings = load_settings()
    assert "nifos tune" in _model(settings)
    assert "tuning_file_damaged" in caplog.text + "".join(capsys.readouterr())
    assert count_processes(settings, read_tuning(home, "tiny")) == count_cores()
    with transaction(engine) as connection:
        assert connection.scalar(text("select count(*) from version")) == 1
