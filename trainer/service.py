"""The trainer's service: takes the run that is asked for, and watches over the process that trains.

It never loads torch: training is a process of its own, so that a crash, the kernel's killer or a
stuck GPU ends that and not the service, and the GPU's memory is given back when it ends. That
process tells the database how far it is; this one keeps its lease and settles how it ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from core.errors import DatabaseError, NifosError, ServiceError
from core.holder import is_dead, this_machine, this_process
from core.settings import Settings
from db import training_leases, training_runs
from db.engine import Connection, Engine, transaction
from db.training_leases import Claim
from trainer.presence import Presence
from trainer.workdir import WORKDIR, last_written, lies_idle

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TRAIN_COMMAND = (sys.executable, "-m", "trainer.retrain")
TICK_S = 1.0
RENEW_EVERY_S = 15.0
GRACE_S = 10.0  # after an outage, and at the start: a trainer that could not renew comes first
# Without a word of progress or a checkpoint. A large base on a CPU is silent for hours while it is
# evaluated.
STUCK_S = 6 * 3_600.0
GIVE_BACK_DELAY_S = 10.0  # before a run is tried again after a service failed
STOP_PATIENCE_S = 20.0

if RENEW_EVERY_S * 3 >= training_leases.LEASE_S:
    raise NifosError("three renewals must fit into a lease")


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        _Training(self._engine, claimed, self._command, workdir, self._presence, self._stop).watch()
        self.sweep()
        return True

    def sweep(self) -> None:
        """Remove the directories of runs that have ended."""
        found = list(self._home.glob(WORKDIR.format("*")))
        with transaction(self._engine) as connection:
            run = training_runs.open_run(connection)
        kept = None if run is None else WORKDIR.format(run.id)
        for directory in found:
            if directory.name != kept and lies_idle(directory):
                shutil.rmtree(directory, ignore_errors=True)

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
                self._expire_from = time.monotonic() + GRACE_S
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


class _Training:
    """One process that trains one claimed run, and what its end means for the run."""

    def __init__(
        self,
        engine: Engine,
        claimed: Claim,
        command: Sequence[str],
        workdir: Path,
        presence: Presence,
        stop: threading.Event,
    ) -> None:
        self._engine = engine
        self._claimed = claimed
        self._presence = presence
        self._stop = stop
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._workdir = workdir
        self._signs: tuple[Any, float] = ({}, 0.0)
        self._stuck_at = time.monotonic() + STUCK_S
        self._process = subprocess.Popen(
            [*command, str(claimed.run_id), str(claimed.attempt)],
            stdout=subprocess.DEVNULL,  # libraries print there; a command's is for its result
            stdin=subprocess.PIPE,  # it ends when this closes, even if we are killed
            process_group=0,  # Ctrl-C is ours to answer
        )

    def watch(self) -> None:
        """Return when the process has ended and the run is settled."""
        try:
            exit_code = self._watch()
        finally:
            self._kill()
        if exit_code is None:
            return
        if self._stop.is_set() and exit_code != 0:
            self._settle("stopped", 0.0)
        elif exit_code == ServiceError.exit_code:
            self._settle("a service could not be reached", GIVE_BACK_DELAY_S)
        else:
            self._settle(_how_it_died(exit_code))

    def _watch(self) -> int | None:
        """The exit code, or None where the run is no longer ours."""
        while True:
            try:
                return self._process.wait(TICK_S)
            except subprocess.TimeoutExpired:
                pass
            if self._stop.is_set():
                self._kill()
                return self._process.wait()
            try:
                self._presence.keep()
                if not self._look():
                    log.warning("retrain_taken_away", run=self._claimed.run_id)
                    return None
            except DatabaseError as error:
                # Training goes on: the fence decides in the end whether it was still ours.
                log.warning("lease_not_renewed", run=self._claimed.run_id, reason=str(error))
            if time.monotonic() >= self._stuck_at:
                log.error("retrain_stuck", run=self._claimed.run_id, silent_s=STUCK_S)
                self._kill()
                return self._process.wait()

    def _look(self) -> bool:
        with transaction(self._engine) as connection:
            if time.monotonic() < self._renew_at:
                return training_leases.is_ours(connection, self._claimed)
            progress = training_leases.renew_lease(connection, self._claimed)
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        signs = (progress, last_written(self._workdir))
        if signs != self._signs:
            self._signs, self._stuck_at = signs, time.monotonic() + STUCK_S
        return progress is not None

    def _settle(self, reason: str, delay_s: float | None = None) -> None:
        """Give the run back, or use a try up; nothing where the process has settled it itself."""
        while True:
            try:
                with transaction(self._engine) as connection:
                    if not training_leases.is_ours(connection, self._claimed):
                        return
                    if delay_s is None:
                        training_leases.fail_try(connection, self._claimed, reason)
                    else:
                        training_leases.give_back(connection, self._claimed, reason, delay_s)
                log.warning("retrain_interrupted", run=self._claimed.run_id, reason=reason)
                return
            except DatabaseError as error:
                log.warning("trainer_waits", reason=str(error))
                if self._stop.wait(TICK_S):
                    return  # its lease runs out

    def _kill(self) -> None:
        """End the process if it runs. A checkpoint that it is writing is one that never was."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _how_it_died(exit_code: int) -> str:
    if exit_code >= 0:
        return f"the process that trains ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    hint = ", perhaps for want of memory" if -exit_code == signal.SIGKILL else ""
    return f"the process that trains was ended by {name}{hint}"
