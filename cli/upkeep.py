"""The loop beside every worker and scheduler: give dead leases back, feed the queue."""

from __future__ import annotations

import os
import threading
import time

import structlog

from core.broker import Celery
from core.errors import NifosError
from db.engine import Engine
from producer.feeder import feed
from worker.leases import return_dead_leases

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TICK_S = 1.0
GRACE_S = 10.0  # several of a worker's tries to commit (worker.score.COMMIT_RETRY_S)


def tick(engine: Engine, app: Celery, *, expire: bool = True) -> None:
    """Do it once.

    Args:
        engine: of the database.
        app: of the queue.
        expire: whether leases that ran out are returned.

    Raises:
        NifosError: PostgreSQL or Redis cannot be reached; the next tick tries again.
    """
    return_dead_leases(engine)
    feed(engine, app, expire=expire)


def keep_up(engine: Engine, app: Celery, stop: threading.Event) -> None:
    """Do it every second until told to stop; what fails is said once and tried again.

    After a failure, and at the start, leases that ran out are left alone for a while: if nobody
    could reach the database, nobody could renew, and a worker with labels in hand comes first.
    """
    said = ""
    expire_from = time.monotonic() + GRACE_S
    while not stop.wait(TICK_S):
        try:
            tick(engine, app, expire=time.monotonic() >= expire_from)
        except NifosError as error:
            expire_from = time.monotonic() + GRACE_S
            if str(error) != said:
                log.warning("upkeep_waits", reason=str(error))
            said = str(error)
        else:
            if said:
                log.info("upkeep_goes_on")
            said = ""


def start_upkeep(engine: Engine, app: Celery) -> None:
    """Run the loop in a thread that ends with the process, and the process with it.

    A worker that lives on without its loop would look alive and starve. Whoever started it starts
    it again.
    """

    def run() -> None:
        try:
            keep_up(engine, app, threading.Event())
        finally:
            log.critical("upkeep_ended")
            os._exit(NifosError.exit_code)  # its children are killed with it

    threading.Thread(target=run, name="upkeep", daemon=True).start()
