"""The trainer's service: takes the run that is asked for, and watches over the process that trains.

It never loads torch: training is a process of its own, so that a crash, the kernel's killer or a
stuck GPU ends that and not the service, and the GPU's memory is given back when it ends. That
process tells the database how far it is; this one keeps its lease and settles how it ended.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence

import structlog

from core.errors import DatabaseError, NifosError
from core.holder import is_dead, this_machine, this_process
from core.settings import Settings
from db import training_leases, training_runs
from db.engine import Connection, Engine, transaction
from trainer.presence import Presence
from trainer.training_process import TrainingProcess
from trainer.workdir import WORKDIR, lies_idle

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TRAIN_COMMAND = (sys.executable, "-m", "trainer.retrain")
TICK_S = 1.0
GRACE_S = 10.0  # after an outage, and at the start: a trainer that could not renew comes first
STOP_PATIENCE_S = 20.0
KEPT_DAYS = 7  # days of training may be in a directory: a person can still save its weights


class TrainingService:
    """Trains what is asked for, from entering to leaving. Leaving gives the run in hand back.

    Args:
        engine: of the database.
        settings: with the URLs settled and exported: the training process reads them.
        command: of the training process; the run's id and attempt are added to it.
    """

    def __init__(
        self, engine: Engine, settings: Settings, command: Sequence[str] = TRAIN_COMMAND
    ) -> None:
        self._engine = engine
        self._command = command
        self._home = settings.training_home
        self._presence = Presence(engine)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trainer", daemon=True)
        self._expire_from = time.monotonic() + GRACE_S

    def __enter__(self) -> TrainingService:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(STOP_PATIENCE_S)

    def tick(self) -> bool:
        """Train at most one run. Returns whether one was.

        Raises:
            DatabaseError: PostgreSQL cannot be reached; the next tick tries again.
        """
        self._presence.keep()
        with transaction(self._engine) as connection:
            self._return_abandoned(connection)
            claimed = training_leases.claim(connection, this_process())
        if claimed is None:
            return False
        log.info("retrain_begins", run=claimed.run_id, attempt=claimed.attempt)
        workdir = self._home / WORKDIR.format(claimed.run_id)
        TrainingProcess(
            self._engine, claimed, self._command, workdir, self._presence, self._stop
        ).watch()
        self._tell(claimed.run_id)
        self.sweep()
        return True

    def sweep(self) -> None:
        """Remove the directories of runs that have ended.

        Of those that failed, or were blocked without a version, a week later.
        """
        found = list(self._home.glob(WORKDIR.format("*")))
        with transaction(self._engine) as connection:
            wanted = training_runs.kept_runs(connection, KEPT_DAYS)
        kept = {WORKDIR.format(run_id) for run_id in wanted}
        for directory in found:
            if directory.name not in kept and lies_idle(directory):
                shutil.rmtree(directory, ignore_errors=True)

    def _tell(self, run_id: int) -> None:
        with transaction(self._engine) as connection:
            run = training_runs.get_run(connection, run_id)
        if run is not None:
            log.info("retrain_is", run=run.id, state=run.state, reason=run.reason)

    def _return_abandoned(self, connection: Connection) -> None:
        holders = training_leases.lease_holders(connection, this_machine())
        dead = [holder for holder in holders if is_dead(holder)]
        returned = training_leases.return_held_by(connection, dead) if dead else 0
        if time.monotonic() >= self._expire_from:
            returned += training_leases.return_expired(connection)
        if returned:
            log.warning("abandoned_retrain_returned")

    def _run(self) -> None:
        try:
            self._keep_on()
        finally:
            if not self._stop.is_set():
                # A process that lives on without its loop would look alive. As `start_upkeep`.
                log.critical("trainer_ended")
                os._exit(NifosError.exit_code)  # the process that trains ends with it

    def _keep_on(self) -> None:
        said, swept = "", False
        while not self._stop.is_set():
            busy = False
            try:
                if not swept:
                    self.sweep()
                    swept = True
                busy = self.tick()
            except DatabaseError as error:
                self._expire_from, swept = time.monotonic() + GRACE_S, False
                if str(error) != said:
                    log.warning("trainer_waits", reason=str(error))
                said = str(error)
            else:
                if said:
                    log.info("trainer_goes_on")
                said = ""
            if not busy:
                self._stop.wait(TICK_S)
        self._presence.leave()
