"""What an engine is: windows in, logits out. It knows no tensor library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sentiment.windows import Windows

OnBatch = Callable[[], None]


class Engine(Protocol):
    """A version's model, ready to compute on one device in one precision."""

    def compute(
        self,
        windows: Windows,
        batches: Sequence[NDArray[np.int64]],
        on_batch: OnBatch | None = None,
    ) -> NDArray[np.float32]:
        """Logits of every window: float32 [windows, 3], in the order of the windows.

        Args:
            windows: of a chunk.
            batches: of `sentiment.batching.plan_batches`, rows of `windows`, each in one batch.
            on_batch: called after every batch; an exception of it ends the computation.

        Raises:
            DeviceError: a GPU broke, or a single row is more than its memory holds.
        """
        ...


@dataclass(frozen=True)
class EngineFacts:
    """Which engine a version is computed by."""

    engine: str
    """`torch` or `openvino`."""
    precision: str
    """`fp32`, `bf16`, `fp16` or `int8`."""
    device: str
    """`cpu` or `cuda:N`."""
    why: str
    """In one line: what was asked for, or why `auto` chose so."""
