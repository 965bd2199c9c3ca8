"""A training run's row, as the process that trains writes to it: how far it is, and how it ends.

Every write is fenced. While PostgreSQL is away training goes on, and what is finished waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import DatabaseError
from db import training_leases, training_runs
from db.engine import Connection, Engine, transaction
from db.training_leases import Claim, End

if TYPE_CHECKING:
    from trainer.flow import FitProgress

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

WRITE_EVERY_S = 1.0
COMMIT_PATIENCE_S = 600.0  # what took hours waits this long for PostgreSQL to come back
COMMIT_RETRY_S = 2.0


class RunLost(Exception):
    """The run is no longer this attempt's: cancelled, or taken by another trainer."""


class RunRow:
    """The row of one claimed run."""

    def __init__(self, engine: Engine, claimed: Claim) -> None:
        self._engine = engine
        self.claimed = claimed
        self._write_at = 0.0
        self._evaluated: float | None = None
        self._resumed_at: int | None = None
        self._resumption_noted = False

    def tell(self, stage: str, **known: Any) -> None:
        """Say what is being done, and add to what is known of the run.

        Raises:
            RunLost: nobody wants it any more.
        """
        self._write({"stage": stage, "done": None, "total": None, **known})
        log.info("retrain_stage", run=self.claimed.run_id, stage=stage)

    def record(self, **known: Any) -> None:
        """Add to what is known of the run, for certain: a later retrain reads it.

        Raises:
            RunLost: nobody wants it any more.
            DatabaseError: PostgreSQL stays away.
        """
        self.commit(
            lambda connection: training_leases.record_progress(connection, self.claimed, known)
        )

    def tell_part(self, stage: str, done: int, total: int) -> None:
        """Say how much of a stage is done, once a second at most.

        Raises:
            RunLost: nobody wants it any more.
        """
        if done >= total or time.monotonic() >= self._write_at:
            self._write({"stage": stage, "done": done, "total": total})

    def tell_fit(self, progress: FitProgress) -> None:
        """Say how far the fit is: at every evaluation, else once a second at most.

        Raises:
            RunLost: nobody wants it any more.
        """
        if self._resumed_at is None:
            self._resumed_at = progress.step  # the first that is told after the checkpoint
        if not self._resumption_noted:
            self._resumption_noted = self._note_resumption(self._resumed_at)
        evaluated = progress.metrics.get("eval_loss")
        if evaluated != self._evaluated or time.monotonic() >= self._write_at:
            self._evaluated = evaluated
            self._write({"stage": "fitting", **progress.__dict__})

    def fail(self, reason: str, exit_code: int) -> None:
        """End the run: trying again would not help."""
        end = End("failed", exit_code, reason)
        self.commit(lambda connection: training_leases.end_run(connection, self.claimed, end))

    def fail_try(self, reason: str, exit_code: int) -> None:
        """Use up a try: trying again may help."""
        self.commit(
            lambda connection: training_leases.fail_try(connection, self.claimed, reason, exit_code)
        )

    def give_back(self, reason: str, delay_s: float) -> None:
        """Let the run wait: something that it needs is away. No try is used up."""
        self.commit(
            lambda connection: training_leases.give_back(connection, self.claimed, reason, delay_s)
        )

    def commit(self, write: Callable[[Connection], object]) -> None:
        """Write in one transaction that holds the run, and wait for PostgreSQL if it is away.

        Args:
            write: what is written. It may run several times; an error of its own rolls all back.

        Raises:
            RunLost: nobody wants it any more; nothing was written.
            DatabaseError: PostgreSQL stays away.
        """
        deadline = time.monotonic() + COMMIT_PATIENCE_S
        in_doubt = False
        while True:
            try:
                with transaction(self._engine) as connection:
                    if training_leases.hold(connection, self.claimed):
                        write(connection)
                        return
                    run = training_runs.get_run(connection, self.claimed.run_id)
                # A COMMIT whose answer was lost may have happened: then no other attempt has begun.
                if in_doubt and run is not None and run.attempt == self.claimed.attempt:
                    return
                raise RunLost
            except DatabaseError as error:
                in_doubt = True
                if time.monotonic() > deadline:
                    raise
                log.warning("commit_in_doubt", run=self.claimed.run_id, reason=str(error))
                time.sleep(COMMIT_RETRY_S)

    def _note_resumption(self, step: int) -> bool:
        try:
            with transaction(self._engine) as connection:
                training_leases.record_resumption(connection, self.claimed, step)
        except DatabaseError as error:
            log.warning("progress_not_written", run=self.claimed.run_id, reason=str(error))
            return False  # with the next word of progress
        return True

    def _write(self, progress: dict[str, Any]) -> None:
        self._write_at = time.monotonic() + WRITE_EVERY_S
        try:
            with transaction(self._engine) as connection:
                ours = training_leases.record_progress(connection, self.claimed, progress)
        except DatabaseError as error:
            # Training goes on: the end decides whether it was still ours.
            log.warning("progress_not_written", run=self.claimed.run_id, reason=str(error))
            return
        if not ours:
            raise RunLost
