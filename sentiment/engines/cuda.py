"""The torch engine on a GPU: a chunk goes there in one copy and its logits come back in one.

The host waits for the GPU once a chunk. What it does not know: which GPU, how much it holds. It
finds out: a batch that does not fit is halved, and so are those after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import DeviceError
from sentiment.batching import plan_batches
from sentiment.engines.engine import OnBatch
from sentiment.engines.forward import Forward, padding_mask
from sentiment.labels import LABELS
from sentiment.windows import Windows

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

Rows = NDArray[np.int64]
# What the libraries below torch say of a GPU that is of no more use to this process.
GPU_WORDS = ("CUDA", "CUBLAS", "cuDNN", "CUDNN")
# Outside a forward pass. A chunk's ids and logits are a few MB, and smaller batches spare none of
# them; by then torch has given back what it kept and tried again.
MEMORY_FULL = (
    "the GPU's memory is full: something else holds it, or NIFOS_GPU_MEMORY_FRACTION is too small"
)


@contextmanager
def gpu_errors() -> Iterator[None]:
    """What torch and the libraries below it say of a GPU, as the error that ends the process.

    Raises:
        DeviceError: the GPU broke, or its memory is full.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(MEMORY_FULL) from error
    except torch.AcceleratorError as error:
        raise DeviceError(f"the GPU failed ({type(error).__name__})") from error
    except RuntimeError as error:  # cuBLAS and cuDNN have no class of their own
        if not any(word in str(error) for word in GPU_WORDS):
            raise
        raise DeviceError(f"the GPU failed ({type(error).__name__})") from error


class CudaEngine:
    """A forward pass on a GPU.

    Args:
        forward: on the device.
        dtype: that it computes in.
        device: of the GPU; a CPU serves to test what is here.
        memory_fraction: of the GPU's memory that this process may take.
    """

    def __init__(
        self, forward: Forward, dtype: torch.dtype, device: torch.device, *, memory_fraction: float
    ) -> None:
        self._forward = forward
        self._dtype = dtype
        self._device = device
        self._most_tokens: int | None = None  # of a batch, once one was too large
        self._pinned = torch.empty(0, dtype=torch.int32)
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(memory_fraction, device)

    def compute(
        self,
        windows: Windows,
        batches: Sequence[Rows],
        on_batch: OnBatch | None = None,
    ) -> NDArray[np.float32]:
        """See `Engine`. `on_batch` is called as batches are queued, which is ahead of the GPU."""
        with gpu_errors(), torch.inference_mode():
            return self._compute(windows, batches, on_batch)

    def _compute(
        self, windows: Windows, batches: Sequence[Rows], on_batch: OnBatch | None
    ) -> NDArray[np.float32]:
        cut = [part for rows in batches for part in self._within(windows, rows)]
        order: list[Rows] = []
        queued: list[Tensor] = []
        for rows, ids in zip(cut, self._send(windows, cut), strict=True):
            for part, logits in self._batch(windows, rows, ids):
                order.append(part)
                queued.append(logits)
            if on_batch is not None:
                on_batch()
        found = np.empty((len(windows), len(LABELS)), np.float32)
        if queued:
            # The one wait of the chunk.
            found[np.concatenate(order)] = torch.cat(queued).float().cpu().numpy()
        return found

    def _send(self, windows: Windows, batches: Sequence[Rows]) -> list[Tensor]:
        """Ids of all batches on the device, each int32 [rows, width], by one copy."""
        padded = [windows.padded(rows) for rows in batches]
        total = sum(ids.size for ids in padded)
        buffer = self._buffer(total)
        start = 0
        places: list[tuple[int, tuple[int, ...]]] = []
        for ids in padded:
            buffer[start : start + ids.size] = torch.from_numpy(ids.ravel())
            places.append((start, ids.shape))
            start += ids.size
        # The buffer is not written again before the chunk's end, which waits for the GPU.
        there = buffer[:total].to(self._device, non_blocking=True)
        return [there[at : at + rows * width].view(rows, width) for at, (rows, width) in places]

    def _buffer(self, tokens: int) -> Tensor:
        if len(self._pinned) < tokens:
            pinned = self._device.type == "cuda"
            self._pinned = torch.empty(tokens, dtype=torch.int32, pin_memory=pinned)
        return self._pinned

    def _batch(self, windows: Windows, rows: Rows, ids: Tensor) -> Iterator[tuple[Rows, Tensor]]:
        """The logits of a batch, in as many parts as the memory asks for."""
        parts = self._within(windows, rows)
        if len(parts) == 1:
            logits = self._try(windows, rows, ids)
            if logits is not None:
                yield rows, logits
                return
            # Not while the error is handled: it holds what is to be freed.
            self._shrink(ids)
            parts = self._within(windows, rows)
        start = 0
        for part in parts:
            width = int(windows.widths[part].max())
            yield from self._batch(windows, part, ids[start : start + len(part), :width])
            start += len(part)

    def _try(self, windows: Windows, rows: Rows, ids: Tensor) -> Tensor | None:
        """The logits; None: the memory does not hold so many rows at once."""
        full = int(windows.lengths[rows].min()) == ids.shape[1]
        try:
            mask = None if full else padding_mask(ids, windows.pad, self._dtype)
            return self._forward(ids, mask)
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise DeviceError("a single text is more than the GPU's memory holds") from error
            return None

    def _within(self, windows: Windows, rows: Rows) -> list[Rows]:
        """A batch, cut where it is larger than what was found to fit. The order of rows stays."""
        if self._most_tokens is None:
            return [rows]
        cut = plan_batches(windows.widths[rows], self._most_tokens, len(rows))
        return [rows[part] for part in cut]

    def _shrink(self, ids: Tensor) -> None:
        first = self._most_tokens is None
        self._most_tokens = max(1, ids.numel() // 2)
        if first:
            log.warning("gpu_memory_short", batch_tokens=self._most_tokens)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()  # pieces that fit no batch of the new size
