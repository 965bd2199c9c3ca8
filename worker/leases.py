"""Leases: kept while a chunk is worked, given back at once where the holder is known to be dead."""

from __future__ import annotations

import time

import structlog

from core.errors import DatabaseError, NifosError
from core.holder import is_dead, this_machine
from core.messages import ScoringKey
from db import scorings
from db.engine import Engine, transaction

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

RENEW_EVERY_S = 15.0

if RENEW_EVERY_S * 3 >= scorings.LEASE_S:
    raise NifosError("three renewals must fit into a lease")


class LeaseLost(Exception):
    """The scoring is no longer this attempt's."""


class Lease:
    """The right to work one scoring, renewed between batches."""

    def __init__(self, engine: Engine, key: ScoringKey, attempt: int) -> None:
        self._engine = engine
        self.key = key
        self.attempt = attempt
        self._renew_at = time.monotonic() + RENEW_EVERY_S

    def renew_if_due(self) -> None:
        """Renew when a quarter of the lease is over.

        Raises:
            LeaseLost: another attempt has the chunk; what was computed is of no use.
        """
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        try:
            with transaction(self._engine) as connection:
                ours = scorings.renew_lease(connection, self.key, self.attempt)
        except DatabaseError as error:
            # Go on computing: the fence decides at the end whether this was still ours.
            log.warning("lease_not_renewed", reason=str(error), **self.key.__dict__)
            return
        if not ours:
            raise LeaseLost


def return_dead_leases(engine: Engine) -> int:
    """Return the scorings whose holders on this machine have ended. Returns how many.

    Raises:
        DatabaseError: PostgreSQL cannot be reached.
    """
    with transaction(engine) as connection:
        dead = [
            holder
            for holder in scorings.lease_holders(connection, this_machine())
            if is_dead(holder)
        ]
        # Whose worker lives has ended by itself, and of what it had in hand.
        living = [worker for worker in scorings.workers_of(connection, dead) if not is_dead(worker)]
        returned = scorings.return_held_by(connection, dead, living) if dead else 0
    if returned:
        log.warning("leases_of_dead_processes_returned", scorings=returned)
    return returned
