"""What a retrain is surrounded by: settings, a store, a version that knows the words, rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from db import training_leases, training_runs
from db.engine import Engine, transaction
from db.training_runs import TrainingRun
from db.versions import VersionRow
from sentiment.store import Store
from tests.labelled import (
    build_fitted_version,
    one_thread,
    write_labelled,
)
from tests.retrains import ROWS, activate
from trainer.request import RetrainRequest
from trainer.retrain import main


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one_thread()
    return build_fitted_version(tmp_path_factory.mktemp("made") / "fitted")


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """In the environment, where the process finds them."""
    settings = {
        "DATABASE_URL": database_url,
        "HOME": str(tmp_path / "home"),
        "DEVICE": "cpu",
        "LOG_LEVEL": "error",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"NIFOS_{name}", value)
    return Settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.store_url, settings.home / "cache")


@pytest.fixture
def base(engine: Engine, store: Store, fitted: Path) -> VersionRow:
    """A version that knows the words, registered and active."""
    return activate(engine, store, fitted, "base")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "labelled.jsonl", range(ROWS))


@pytest.fixture
def attempt(engine: Engine, data: Path) -> Callable[..., TrainingRun]:
    """Ask for a retrain, train it here, and give its row."""

    def ask_and_train(**changes: Any) -> TrainingRun:
        fields = {
            "data": [str(data)],
            "base": "base",
            "epochs": 1.0,
            "batch_size": 64,
            "learning_rate": 1e-5,
        }
        request = RetrainRequest.checked(fields | changes)
        with transaction(engine) as connection:
            training_runs.request_run(connection, request.model_dump(), "kim@desk")
            claimed = training_leases.claim(connection, "me")
        assert claimed is not None
        assert main([str(claimed.run_id), str(claimed.attempt)]) == 0
        with transaction(engine) as connection:
            run = training_runs.get_run(connection, claimed.run_id)
        assert run is not None
        return run

    return ask_and_train
