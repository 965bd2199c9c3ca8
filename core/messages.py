"""What travels on the queue: task names, queue names and frozen payloads.

A message is a hint. It may be lost, doubled or late; the truth is the `scoring` row. One that asks
for a retrain becomes a `training_run` row, which is the truth from then on.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import InputError

SCORE_TASK = "worker.score"
SCORE_QUEUE = "nifos.score"
RETRAIN_TASK = "trainer.retrain"
TRAIN_QUEUE = "nifos.train"

MAX_ID = 2**63 - 1  # PostgreSQL bigint


@dataclass(frozen=True, order=True)
class ScoringKey:
    """The one chunk and the one version that a scoring is about."""

    chunk_id: int
    version_id: int

    @classmethod
    def from_message(cls, chunk_id: object, version_id: object) -> ScoringKey:
        """Check ids that came from outside.

        Raises:
            InputError: either is not a positive 64-bit integer.
        """
        for name, value in (("chunk_id", chunk_id), ("version_id", version_id)):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_ID:
                raise InputError(f"message refused: {name} is not an id")
        assert isinstance(chunk_id, int)  # noqa: S101 - narrows for the type checker
        assert isinstance(version_id, int)  # noqa: S101
        return cls(chunk_id, version_id)
