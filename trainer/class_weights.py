"""How much each class counts in the loss.

With balanced weights every class pulls as hard as any other, however rare it is. The model then
answers as if all were equally frequent: it finds more of the rare class, and its probabilities say
too much of it. The temperature does not mend that; the gate shows what it does to the shares.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.labels import LABELS

ClassWeights = Literal["balanced", "none"]


def resolve_class_weights(
    choice: ClassWeights, label_ids: NDArray[np.int64]
) -> tuple[float, ...] | None:
    """The weights of the classes, in the order of their ids, for these rows.

    Args:
        choice: `balanced` is rows / (classes * rows of the class), which is 1 on average over the
            rows; `none` is None.
        label_ids: int64 [rows], of the training rows.
    """
    if choice == "none":
        return None
    counts = np.bincount(label_ids, minlength=len(LABELS))
    weights = len(label_ids) / (len(LABELS) * np.maximum(1, counts))
    return tuple(round(float(weight), 6) for weight in weights)
