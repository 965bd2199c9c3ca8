"""A retrain from its row to its version: `python -m trainer.retrain RUN ATTEMPT`.

The trainer's service starts it, for one attempt at one run, and it ends when that service does.
Exit code 0: the run's row says what came of it, or is no longer ours. 3: a service is away, nothing
is lost. Any other: it died.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from core.errors import FileNotReadyError, InputError, NifosError, ServiceError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from db import training_runs, versions
from db.annotations import annotated_texts
from db.engine import Engine, make_engine, transaction
from db.samples import sample_stored_documents
from db.training_leases import Claim
from db.training_runs import TrainingRun
from sentiment.store import Store
from trainer.candidate import Candidate, make_candidate
from trainer.compare import Scoring
from trainer.judged import judge_candidate
from trainer.publishing import ActiveChanged, Publisher
from trainer.request import RetrainRequest
from trainer.retrain_data import RetrainData, load_data, read_data, save_data
from trainer.run_row import RunLost, RunRow
from trainer.settling import settled
from trainer.workdir import WORKDIR, hold_workdir, run_identity

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

MOST_COMPARISONS = 3  # another version may become active while the candidate is compared


@dataclass(frozen=True)
class Retrain:
    """One attempt at one run."""

    run: TrainingRun
    row: RunRow
    engine: Engine
    store: Store
    settings: Settings
    workdir: Path

    @property
    def request(self) -> RetrainRequest:
        """What is asked for."""
        return RetrainRequest.checked(self.run.request)

    def train(self) -> None:
        """Go from the rows to a version that is active, or blocked.

        Raises:
            NifosError: it cannot be done.
            RunLost: nobody wants it any more.
        """
        scoring = Scoring.as_served(self.settings)
        data = self._read()
        with transaction(self.engine) as connection:
            base = versions.find_version(connection, self.request.base)
        checksums = None if base is None else base.checksums
        candidate = make_candidate(
            self.request, data, self.store, self.workdir, self.row, scoring, checksums
        )
        for _ in range(MOST_COMPARISONS):
            try:
                self._judge_and_end(candidate, data, scoring)
            except ActiveChanged:
                log.warning("active_version_changed", run=self.run.id)
            else:
                return
        raise NifosError("other versions keep becoming active: ask for the retrain again")

    def _read(self) -> RetrainData:
        """The rows, the same in every attempt: an annotation of today would begin another fit."""
        data = load_data(self.workdir)
        if data is None:
            self.row.tell("reading")
            with transaction(self.engine) as connection:
                annotated = annotated_texts(connection)
                pinned = training_runs.pinned_texts(connection)
            self._refuse_where_the_files_are_elsewhere()
            data = read_data(self.request, annotated, pinned)
            save_data(self.workdir, data)
        # Not only told: a text that is held out now is held out in every later retrain.
        self.row.record(stage="read", data=data.summary(), pinned=data.split.pinned)
        return data

    def _refuse_where_the_files_are_elsewhere(self) -> None:
        """A run that another machine began is not ended by one that lacks its files.

        Raises:
            FileNotReadyError: naming the first that is missing; the run waits.
        """
        if self.row.claimed.attempt == 1:
            return
        for path in self.request.data:
            if not Path(path).exists():
                raise FileNotReadyError(
                    f"{path} is not on this machine, and the rows that were read of it are another"
                    " trainer's: start that one again, or put the file there"
                )

    def _judge_and_end(self, candidate: Candidate, data: RetrainData, scoring: Scoring) -> None:
        with transaction(self.engine) as connection:
            active = versions.active_version(connection)
            documents = sample_stored_documents(connection)
        judged = judge_candidate(candidate, data, active, documents, self.store, scoring, self.row)
        Publisher(
            self.run, self.row, self.engine, self.store, self.workdir, self.settings.timezone
        ).end(judged, candidate, data, self.request)


def main(arguments: Sequence[str]) -> int:
    """Run one attempt. Returns the exit code of the process."""
    claimed = Claim(int(arguments[0]), int(arguments[1]))
    settings = load_settings()
    configure_logs(settings)
    if settings.database_url is None:
        raise InputError("it needs NIFOS_DATABASE_URL; `nifos trainer` starts it")
    engine = make_engine(settings.database_url.get_secret_value())
    row = RunRow(engine, claimed)
    try:
        with settled(row):
            _train(engine, row, settings)
    except RunLost:
        log.info("retrain_lost", run=claimed.run_id)
    except ServiceError as error:
        log.warning("retrain_waits", run=claimed.run_id, reason=str(error))
        return ServiceError.exit_code
    finally:
        engine.dispose()
    return 0


def _train(engine: Engine, row: RunRow, settings: Settings) -> None:
    with transaction(engine) as connection:
        run = training_runs.get_run(connection, row.claimed.run_id)
    if run is None:
        raise RunLost
    store = Store(settings.store_url, settings.home / "cache")
    directory = settings.training_home / WORKDIR.format(run.id)
    with hold_workdir(directory, run_identity(run)) as workdir:
        Retrain(run, row, engine, store, settings, workdir).train()


def _end_with_parent() -> None:
    """End this process when the service that started it closes its pipe, or dies."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(NifosError.exit_code)  # at once: a checkpoint is whole, or is none

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    sys.exit(main(sys.argv[1:]))
