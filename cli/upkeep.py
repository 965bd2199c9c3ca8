"""The loop beside every worker and scheduler: give dead leases back, feed the queue."""

from __future__ import annotations

import os
import signal
import threading

import structlog

from core.broker import Celery
from core.errors import ServiceError
from db.engine import Engine
from producer.feeder import feed
from worker.leases import return_dead_leases

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TICK_S = 1.0


def tick(engine: Engine, app: Celery) -> None:
    """Do it once.

    Raises:
        ServiceError: PostgreSQL or Redis cannot be reached; the next tick tries again.
    """
    return_dead_leases(engine)
    feed(engine, app)


def keep_up(engine: Engine, app: Celery, stop: threading.Event) -> None:
    """Do it every second until told to stop; an unreachable service is said once and waited for."""
    said = ""
    while not stop.wait(TICK_S):
        try:
            tick(engine, app)
        except ServiceError as error:
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
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=run, name="upkeep", daemon=True).start()
