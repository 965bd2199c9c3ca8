"""Label one chunk: claim, read, predict, commit behind the fence.

It knows nothing of queues: the message that brought the key may be doubled, late or lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from core.errors import DatabaseError, DeviceError, NifosError
from core.holder import parent_process
from core.messages import ScoringKey
from db import documents, labels, scorings
from db.engine import Engine, transaction
from worker.isolation import describe, predict_chunk
from worker.leases import Lease, LeaseLost
from worker.loaded import LoadedVersions

if TYPE_CHECKING:
    from sentiment.classifier import Predictions

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

GIVE_BACK_DELAY_S = 5.0  # before a chunk is tried again after a service failed
COMMIT_PATIENCE_S = 600.0  # labels that are computed wait this long for PostgreSQL to come back
COMMIT_RETRY_S = 2.0


class Scorer:
    """Labels chunks in one worker child."""

    def __init__(
        self, engine: Engine, loaded: LoadedVersions, *, holder: str, timezone: str
    ) -> None:
        self._engine = engine
        self._loaded = loaded
        self._holder = holder
        self._worker = parent_process()
        self._timezone = timezone

    def score(self, key: ScoringKey) -> bool:
        """Work one message.

        Returns:
            Whether this call labelled the chunk. False: there was nothing to claim, the chunk was
            taken over, or its scoring was given back; the database says which.

        Raises:
            DatabaseError: the scoring could not even be claimed.
            DeviceError: the GPU failed; a scoring that was claimed was given back, this process is
                to end.
        """
        failed = self._load_ahead(key.version_id)
        with transaction(self._engine) as connection:
            attempt = scorings.claim(connection, key, self._holder)
        if attempt is None:
            log.debug("nothing_to_claim", **key.__dict__)
            if isinstance(failed, DeviceError):
                raise failed
            return False
        lease = Lease(self._engine, key, attempt)
        try:
            with _failures_recorded(self._engine, lease):
                if failed is not None:
                    raise failed
                return self._label(lease)
        except LeaseLost:
            log.warning("lease_lost", attempt=attempt, **key.__dict__)
        return False

    def _load_ahead(self, version_id: int) -> NifosError | None:
        """Load before the claim: no lease should run out while a version comes, or is converted.

        Returns:
            Why it cannot be loaded: recorded once there is a claim, and not tried again under it.
        """
        try:
            self._loaded.get(version_id)
        except NifosError as error:
            return error
        return None

    def _label(self, lease: Lease) -> bool:
        key = lease.key
        classifier = self._loaded.get(key.version_id)
        start = time.perf_counter()
        with transaction(self._engine) as connection:
            chunk = documents.chunk_texts(connection, key.chunk_id)
        read_at = time.perf_counter()
        found = predict_chunk(self._engine, lease, classifier, chunk, self._worker)
        predicted_at = time.perf_counter()
        timings = {
            "read_s": round(read_at - start, 4),
            "predict_s": round(predicted_at - read_at, 4),
            "documents": len(found.document_ids),
            **_work(found.predictions),
        }
        facts = classifier.facts
        measured = labels.Measured(timings, facts.engine, facts.precision)
        columns = _columns(found.document_ids, found.predictions, found.failures)
        done = self._commit(lease, columns, measured)
        if done:
            log.info(
                "chunk_labelled",
                failed=len(found.failures),
                write_s=round(time.perf_counter() - predicted_at, 4),
                **timings,
                **key.__dict__,
            )
        return done

    def _commit(
        self, lease: Lease, columns: labels.LabelColumns, measured: labels.Measured
    ) -> bool:
        deadline = time.monotonic() + COMMIT_PATIENCE_S
        while True:
            try:
                return self._commit_once(lease, columns, measured)
            except DatabaseError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("commit_in_doubt", reason=str(error), **lease.key.__dict__)
                time.sleep(COMMIT_RETRY_S)

    def _commit_once(
        self, lease: Lease, columns: labels.LabelColumns, measured: labels.Measured
    ) -> bool:
        with transaction(self._engine) as connection:
            if labels.finish(
                connection,
                lease.key,
                lease.attempt,
                columns,
                timezone=self._timezone,
                measured=measured,
            ):
                return True
            # A COMMIT whose answer was lost may have happened: then the row says so.
            state = scorings.read_state(connection, lease.key)
        if state == scorings.ScoringState("done", lease.attempt):
            return True
        raise LeaseLost


def _columns(
    document_ids: list[int], predictions: Predictions, failures: dict[int, str]
) -> labels.LabelColumns:
    return labels.LabelColumns(
        document_ids=document_ids,
        label_ids=predictions.label_ids,
        probabilities=predictions.probabilities,
        windowed=predictions.windowed,
        failures=failures,
    )


def _work(predictions: Predictions) -> dict[str, float]:
    work = predictions.work
    return {
        "texts": work.texts,
        "tokens": work.tokens,
        "padded_tokens": work.padded_tokens,
        "prepare_s": round(work.prepare_s, 4),
        "tokenize_s": round(work.tokenize_s, 4),
        "compute_s": round(work.compute_s, 4),
    }


@contextmanager
def _failures_recorded(engine: Engine, lease: Lease) -> Iterator[None]:
    """Settle what an exception does to the scoring; only what is recorded is swallowed."""
    try:
        yield
    except LeaseLost:
        raise
    except NifosError as error:
        log.error("scoring_failed", reason=str(error), **lease.key.__dict__)
        if error.retryable:
            _give_back(engine, lease, error)
        else:
            _fail_try(engine, lease, str(error))
        if isinstance(error, DeviceError):
            raise
    except Exception as error:  # noqa: BLE001 - recorded as the chunk's own failure
        reason = describe(error)
        log.error("scoring_failed", reason=reason, **lease.key.__dict__)
        _fail_try(engine, lease, reason)


def _give_back(engine: Engine, lease: Lease, cause: NifosError) -> None:
    broken = isinstance(cause, DeviceError)
    give_back = scorings.give_back_broken if broken else scorings.give_back
    try:
        with transaction(engine) as connection:
            give_back(connection, lease.key, lease.attempt, str(cause), GIVE_BACK_DELAY_S)
    except DatabaseError as error:
        log.error("scoring_left_to_its_lease", reason=str(error), **lease.key.__dict__)


def _fail_try(engine: Engine, lease: Lease, reason: str) -> None:
    try:
        with transaction(engine) as connection:
            scorings.fail_try(connection, lease.key, lease.attempt, reason)
    except DatabaseError as error:
        log.error("scoring_left_to_its_lease", reason=str(error), **lease.key.__dict__)
