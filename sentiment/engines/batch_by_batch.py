"""The way of an engine on a CPU: batch after batch, nothing kept between chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sentiment.engines.engine import OnBatch
from sentiment.labels import LABELS
from sentiment.windows import Windows


class BatchByBatch(ABC):
    """An `Engine` that computes a batch and waits for it before it takes the next."""

    def compute(
        self,
        windows: Windows,
        batches: Sequence[NDArray[np.int64]],
        on_batch: OnBatch | None = None,
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        logits = np.empty((len(windows), len(LABELS)), np.float32)
        for rows in batches:
            logits[rows] = self._batch(windows, rows)
            if on_batch is not None:
                on_batch()
        return logits

    @abstractmethod
    def _batch(self, windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of some windows: float32 [rows, 3]."""
