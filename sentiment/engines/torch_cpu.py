"""The torch engine on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sentiment.engines.batch_by_batch import BatchByBatch
from sentiment.engines.forward import Forward, padding_mask
from sentiment.windows import Windows


class TorchCpuEngine(BatchByBatch):
    """A forward pass on the CPU, with as many threads as torch is set to."""

    def __init__(self, forward: Forward, dtype: torch.dtype) -> None:
        self._forward = forward
        self._dtype = dtype

    def _batch(self, windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        ids = torch.from_numpy(windows.padded(rows))
        full = windows.lengths[rows].min() == ids.shape[1]
        with torch.inference_mode():
            mask = None if full else padding_mask(ids, windows.pad, self._dtype)
            return self._forward(ids, mask).float().numpy()
