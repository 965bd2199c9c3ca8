"""The torch engine on a CPU: batch by batch, nothing kept between chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sentiment.engines.engine import OnBatch
from sentiment.engines.forward import Forward, padding_mask
from sentiment.labels import LABELS
from sentiment.windows import Windows


class TorchCpuEngine:
    """A forward pass on the CPU, with as many threads as torch is set to."""

    def __init__(self, forward: Forward, dtype: torch.dtype) -> None:
        self._forward = forward
        self._dtype = dtype

    def compute(
        self,
        windows: Windows,
        batches: Sequence[NDArray[np.int64]],
        on_batch: OnBatch | None = None,
    ) -> NDArray[np.float32]:
        """See `Engine`."""
        logits = np.empty((len(windows), len(LABELS)), np.float32)
        with torch.inference_mode():
            for rows in batches:
                logits[rows] = self._batch(windows, rows).float().numpy()
                if on_batch is not None:
                    on_batch()
        return logits

    def _batch(self, windows: Windows, rows: NDArray[np.int64]) -> Tensor:
        ids = torch.from_numpy(windows.padded(rows))
        full = windows.lengths[rows].min() == ids.shape[1]
        mask = None if full else padding_mask(ids, windows.pad, self._dtype)
        return self._forward(ids, mask)
