"""The Celery task by which any program asks for a retrain."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import structlog
from celery import Task, shared_task
from celery.exceptions import Reject

from core.errors import DatabaseError, InputError, NifosError
from core.messages import RETRAIN_TASK
from core.settings import load_settings
from db import training_runs
from db.engine import Engine, make_engine, transaction
from trainer.request import RetrainRequest

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

AGAIN_AFTER_S = 2.0  # where PostgreSQL is away: the message waits in the queue
MOST_WHO_CHARACTERS = 200


@shared_task(name=RETRAIN_TASK, bind=True)
def retrain(task: Task, *arguments: object, **fields: Any) -> None:
    """Ask for a retrain: the fields of `nifos retrain`, each of which may be left out.

    From any program that reaches Redis, without any of this one's code:

        Celery(broker=URL).send_task("trainer.retrain", queue="nifos.train", kwargs={
            "data": ["/crawls/labelled.parquet"], "text_column": "text", "label_column": "label",
            "label_map": {"0": "negative", "1": "neutral", "2": "positive"},
            "base": "starter", "epochs": 10, "learning_rate": 5e-6, "class_weights": "balanced",
            "label_smoothing": 0.1, "batch_size": 128, "padding_ratio": 0.95, "seed": 0,
            "when": "idle", "requested_by": "crawler"})

    `data` are absolute paths as the trainer sees them. A message that cannot be understood, or
    comes while a retrain is queued or running, is refused with one line in the log. Two messages of
    one task id are one request.
    """
    if arguments:
        log.error("retrain_refused", reason="its fields must be named (kwargs)")
        return
    try:
        run_id = ask(_engine(), fields, str(task.request.id))
    except DatabaseError as error:
        log.warning("retrain_waits", reason=str(error))
        time.sleep(AGAIN_AFTER_S)
        raise Reject(requeue=True) from error
    except NifosError as error:
        log.error("retrain_refused", reason=str(error))
    else:
        log.info("retrain_queued", run=run_id)


def ask(engine: Engine, fields: dict[str, Any], message_id: str) -> int:
    """Queue the retrain that a message asks for. Returns the run's id.

    Raises:
        InputError: a field is wrong.
        NifosError: another retrain is queued or running.
        DatabaseError: PostgreSQL cannot be reached.
    """
    who = fields.pop("requested_by", "a message")
    if not isinstance(who, str) or not who.isprintable() or not 0 < len(who) <= MOST_WHO_CHARACTERS:
        raise InputError("requested_by: must be a name")
    request = RetrainRequest.checked(fields)
    with transaction(engine) as connection:
        return training_runs.request_run(connection, request.model_dump(), who, message_id)


@cache
def _engine() -> Engine:
    settings = load_settings()
    if settings.database_url is None:
        raise InputError("the task needs NIFOS_DATABASE_URL; start it by `nifos trainer`")
    return make_engine(settings.database_url.get_secret_value())
