"""Stands for `sentiment.classifier` in the children of `tests.chaos.worker`: no torch, no model.

A real process that takes real time; its labels are those of `tests.chaos.oracle`, so that each one
that was stored can be judged.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from sentiment.labels import LABELS
from tests.chaos.oracle import POISON, expected_label_id
from tests.chaos.points import Points

BATCHES = 4

points: Points | None = None
document_s = 0.0  # time that a document takes


@dataclass(frozen=True)
class Predictions:
    """As `sentiment.classifier.Predictions`."""

    label_ids: NDArray[np.int8]
    probabilities: NDArray[np.float32]
    windowed: NDArray[np.bool_]
    work: SimpleNamespace


class Classifier:
    """As `sentiment.classifier.Classifier`."""

    facts = SimpleNamespace(engine="torch", precision="fp32", device="cpu", why="a fake of a test")

    def __init__(self, version: str) -> None:
        self._version = version

    @classmethod
    def load(cls, directory: Path, **_options: object) -> Classifier:
        return cls(directory.name)

    def predict(
        self, texts: Sequence[str], *, on_batch: Callable[[], None] | None = None
    ) -> Predictions:
        poisoned = any(POISON in text for text in texts)
        if poisoned and points is not None:
            points.spare()
        for batch in range(BATCHES):
            time.sleep(document_s * len(texts) / BATCHES)
            if points is not None and batch == BATCHES // 2:
                points.reached("computing")
            if on_batch is not None:
                on_batch()
        if poisoned:
            if points is not None:
                points.ended_by_poison()
            os.kill(os.getpid(), signal.SIGKILL)
        ids = np.array([expected_label_id(self._version, text) for text in texts], np.int8)
        probabilities = np.full((len(texts), len(LABELS)), 0.1, np.float32)
        probabilities[np.arange(len(texts)), ids] = 0.8
        return Predictions(ids, probabilities, np.zeros(len(texts), np.bool_), _work(len(texts)))


def _work(texts: int) -> SimpleNamespace:
    counts = {"texts": texts, "windows": texts, "tokens": texts, "padded_tokens": texts}
    return SimpleNamespace(**counts, prepare_s=0.0, tokenize_s=0.0, compute_s=0.0)
