"""Retrains in tests: a version made active, an attempt made again."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from db import training_leases, training_runs, versions
from db.engine import Engine, transaction
from db.training_runs import TrainingRun
from db.versions import VersionRow
from sentiment.store import Store
from tests.published import publish_version
from trainer.retrain import main

ROWS = 300


def activate(engine: Engine, store: Store, directory: Path, name: str) -> VersionRow:
    return publish_version(engine, store, directory, name)


def active_name(engine: Engine) -> str:
    with transaction(engine) as connection:
        version = versions.active_version(connection)
    assert version is not None
    return version.name


def try_again(engine: Engine) -> TrainingRun:
    """What the service does with a run that waits, when its time has come."""
    with transaction(engine) as connection:
        connection.execute(text("update training_run set next_try_at = now()"))
        claimed = training_leases.claim(connection, "you")
    assert claimed is not None
    assert main([str(claimed.run_id), str(claimed.attempt)]) == 0
    with transaction(engine) as connection:
        run = training_runs.get_run(connection, claimed.run_id)
    assert run is not None
    return run
