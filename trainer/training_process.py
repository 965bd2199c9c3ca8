"""The process that trains one claimed run, as the service sees it: watched, ended, settled."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from core.errors import DatabaseError, NifosError, ServiceError
from db import training_leases
from db.engine import Engine, transaction
from db.training_leases import Claim
from trainer.presence import Presence
from trainer.workdir import last_written

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

LOOK_EVERY_S = 1.0
RENEW_EVERY_S = 15.0
# Without a word of progress or a checkpoint. A large base on a CPU is silent for hours while it is
# evaluated.
STUCK_S = 6 * 3_600.0
GIVE_BACK_DELAY_S = 10.0  # before a run is tried again after a service failed

if RENEW_EVERY_S * 3 >= training_leases.LEASE_S:
    raise NifosError("three renewals must fit into a lease")


class TrainingProcess:
    """One process, started at once.

    Args:
        engine: of the database.
        claimed: the run, which is ours.
        command: of the process; the run's id and attempt are added to it.
        workdir: of the run, where it leaves checkpoints.
        presence: kept while it trains.
        stop: set when the service is to end.
    """

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
        self._said = ""
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
        """The exit code, or None where the run is settled, cancelled, or another trainer's."""
        while True:
            try:
                return self._process.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                pass
            if self._stop.is_set():
                self._kill()
                return self._process.wait()
            try:
                self._presence.keep()
                if not self._look():
                    return None
                self._said = ""
            except DatabaseError as error:
                # Training goes on: the fence decides in the end whether it was still ours.
                if str(error) != self._said:
                    log.warning("lease_not_renewed", run=self._claimed.run_id, reason=str(error))
                self._said = str(error)
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
                if self._stop.wait(LOOK_EVERY_S):
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
