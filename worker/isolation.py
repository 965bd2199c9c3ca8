"""Predict a chunk in such a way that no single document of it can keep the others from labels.

A chunk is computed whole. One whose worker ended in the middle, or that raises an error, is watched
from then on: it goes in small groups, and before each one its place is written down in the
database. Who was in hand when the process ended is a suspect and goes alone, after all others; who
ends it alone has failed. An error instead of an end shows the same within one attempt.

It does not know who returns the scoring of a process that ended (`worker.leases`), nor what an end
weighs (`db.isolation`).
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from core.errors import DatabaseError, NifosError
from db import isolation
from db.documents import ChunkTexts
from db.engine import Engine, transaction
from worker.hanging import ended_if_hanging
from worker.leases import Lease, LeaseLost

if TYPE_CHECKING:
    from sentiment.classifier import Classifier, Predictions

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

# Small, so that few documents are suspected at once; large enough that writing down a place
# (a COMMIT) takes less time than computing it.
GROUP_DOCUMENTS = 16
# A version or a device that fails on this fails on everything: no document is to blame.
HARMLESS = "오늘은 날씨가 맑아서 산책을 했다."
DATABASE_PATIENCE_S = 600.0  # a place is not left for want of a database: that would blame it
DATABASE_RETRY_S = 2.0


@dataclass(frozen=True)
class Found:
    """What came of a chunk's documents: each has a prediction, or a reason why it has none.

    document_ids: those with a prediction, in the order of `predictions`.
    failures: reason by id.
    """

    document_ids: list[int]
    predictions: Predictions
    failures: dict[int, str]


def predict_chunk(
    engine: Engine, lease: Lease, classifier: Classifier, chunk: ChunkTexts, worker: str
) -> Found:
    """Predict every document that can be predicted.

    Args:
        engine: where places are written down.
        lease: of the scoring; renewed between batches.
        classifier: of its version.
        chunk: its documents.
        worker: the process above this one.

    Raises:
        LeaseLost: another attempt has the chunk.
        NifosError: it is not the documents: a service or the device failed.
        Exception: whatever the classifier raises at a harmless text too.
    """
    with transaction(engine) as connection:
        history = isolation.read_history(connection, lease.key)
    if not history.watched:
        try:
            predictions = _numbers(classifier.predict(chunk.texts, on_batch=lease.renew_if_due))
        except (LeaseLost, NifosError):
            raise
        except Exception as error:  # noqa: BLE001 - it is raised again, or put on a document
            log.warning("chunk_isolated", reason=describe(error), **lease.key.__dict__)
        else:
            return Found(chunk.document_ids, predictions, {})
    return _Isolation(engine, lease, classifier, worker).predict(chunk, history)


def describe(error: Exception) -> str:
    """Type and place of a foreign exception: its message may quote a document."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"


class _Isolation:
    """One attempt at a chunk that is watched."""

    def __init__(self, engine: Engine, lease: Lease, classifier: Classifier, worker: str) -> None:
        self._engine = engine
        self._lease = lease
        self._classifier = classifier
        self._worker = worker
        self._ids: list[int] = []
        self._parts: list[Predictions] = []
        self._failures: dict[int, str] = {}

    def predict(self, chunk: ChunkTexts, history: isolation.History) -> Found:
        # At no place: an end here, or an error, is the chunk's try and no document's.
        nothing = self._compute([HARMLESS])
        self._failures = dict(history.failed)
        rows = [
            row
            for row in zip(chunk.document_ids, chunk.texts, strict=True)
            if row[0] not in history.failed
        ]
        together = [row for row in rows if row[0] not in history.suspects]
        for start in range(0, len(together), GROUP_DOCUMENTS):
            self._work(together[start : start + GROUP_DOCUMENTS])
        for row in rows:
            if row[0] in history.suspects:
                self._work([row])
        self._note(None)
        log.info("chunk_isolated", failed=len(self._failures), **self._lease.key.__dict__)
        return Found(self._ids, _joined(self._parts, nothing), self._failures)

    def _work(self, rows: Sequence[tuple[int, str]]) -> None:
        """Predict some documents; where that raises an error, each alone."""
        ids = [document_id for document_id, _text in rows]
        self._note(ids)
        try:
            part = self._compute([text for _id, text in rows])
        except (LeaseLost, NifosError):
            raise
        except Exception as error:  # noqa: BLE001 - recorded as this document's
            if len(rows) == 1:
                self._failures[ids[0]] = describe(error)
            else:
                for row in rows:
                    self._work([row])
        else:
            self._ids += ids
            self._parts.append(part)

    def _compute(self, texts: list[str]) -> Predictions:
        with ended_if_hanging(self._lease.renew_if_due) as on_batch:
            return _numbers(self._classifier.predict(texts, on_batch=on_batch))

    def _note(self, ids: list[int] | None) -> None:
        deadline = time.monotonic() + DATABASE_PATIENCE_S
        while True:
            try:
                with transaction(self._engine) as connection:
                    ours = isolation.note_place(
                        connection, self._lease.key, self._lease.attempt, self._worker, ids
                    )
            except DatabaseError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("place_in_doubt", reason=str(error), **self._lease.key.__dict__)
                time.sleep(DATABASE_RETRY_S)
                continue
            if not ours:
                raise LeaseLost
            return


def _numbers(predictions: Predictions) -> Predictions:
    """Refuse what is no number: its label would be the first one, whatever the text says.

    Raises:
        FloatingPointError: a probability is none: the precision overflowed, or weights are damaged.
    """
    if not np.isfinite(predictions.probabilities).all():
        raise FloatingPointError
    return predictions


def _joined(parts: list[Predictions], harmless: Predictions) -> Predictions:
    """One after the other. Without any, none: of the shapes that a harmless text's have."""

    def column(name: str) -> Any:
        none = getattr(harmless, name)[:0]
        return np.concatenate([none, *(getattr(part, name) for part in parts)])

    work = {name: sum(getattr(part.work, name) for part in parts) for name in vars(harmless.work)}
    return replace(
        harmless,
        work=type(harmless.work)(**work),
        label_ids=column("label_ids"),
        probabilities=column("probabilities"),
        windowed=column("windowed"),
    )
