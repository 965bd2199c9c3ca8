"""The Celery task of the worker, and what a child sets up before its first message."""

from __future__ import annotations

import os
import time
from functools import cache

import structlog
from celery import shared_task
from celery.signals import worker_process_init

from core.errors import DatabaseError, DeviceError, InputError, NifosError
from core.holder import this_process
from core.logs import configure_logs
from core.messages import SCORE_TASK, ScoringKey
from core.settings import load_settings
from db.engine import ANSWER_S, make_engine
from sentiment.store import Store
from worker.loaded import HowToLoad, LoadedVersions
from worker.score import Scorer

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

# Celery replaces a child at once. One that a GPU failed before its first message has no chunk whose
# next try waits (worker.score.GIVE_BACK_DELAY_S), so it waits itself: a GPU may stay broken.
REPLACED_AFTER_S = 5.0
CPU_THREADS = 1  # the children are the parallelism: one a core, unless it was tuned otherwise


@shared_task(name=SCORE_TASK)
def score(chunk_id: object, version_id: object) -> None:
    """Label one chunk with one version. The ids come from outside and are checked."""
    try:
        key = ScoringKey.from_message(chunk_id, version_id)
    except InputError as error:
        log.error("message_refused", reason=str(error))
        return
    try:
        _child()[1].score(key)
    except DeviceError as error:
        log.critical("child_replaced", reason=str(error))
        os._exit(error.exit_code)  # no clean-up: it would wait for the broken GPU
    except DatabaseError as error:
        # Unclaimed, so nothing is lost: the feeder publishes it again.
        log.error("claim_failed", reason=str(error), **key.__dict__)


@worker_process_init.connect
def prepare_child(**_signal: object) -> None:
    """Load the active version before the first message, so that no chunk waits for it."""
    configure_logs(load_settings())
    try:
        _child()[0].load_active()
    except DeviceError as error:
        log.critical("child_replaced", reason=str(error))
        time.sleep(REPLACED_AFTER_S)
        os._exit(error.exit_code)  # as after a message
    except NifosError as error:
        # The child stays: each scoring records the reason, and the version may be mended meanwhile.
        log.error("active_version_not_loaded", reason=str(error))


@cache
def _child() -> tuple[LoadedVersions, Scorer]:
    settings = load_settings()
    if settings.database_url is None:
        raise InputError("a worker's child needs NIFOS_DATABASE_URL; start it by `nifos worker`")
    engine = make_engine(settings.database_url.get_secret_value(), answer_s=ANSWER_S)
    how = HowToLoad(
        device=settings.device,
        batch_tokens=settings.batch_tokens,
        threads=CPU_THREADS,
        precision=settings.precision,
        gpu_memory_fraction=settings.gpu_memory_fraction,
        home=settings.home,
        processes=settings.worker_processes,
    )
    loaded = LoadedVersions(engine, Store(settings.store_url, settings.home / "cache"), how)
    return loaded, Scorer(engine, loaded, holder=this_process(), timezone=settings.timezone)
