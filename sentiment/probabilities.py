"""From the logits of windows to the probabilities of texts. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentiment.labels import LABELS
from sentiment.windows import Windows


def text_probabilities(
    logits: NDArray[np.float32], windows: Windows, texts: int, temperature: float
) -> NDArray[np.float64]:
    """Average the windows of each text, weighted by their length, and make probabilities of it.

    Args:
        logits: float32 [windows, 3].
        windows: of `texts` texts, one at least of each.
        texts: how many there are.
        temperature: of the version; above 1 it softens.

    Returns:
        float64 [texts, 3], each row summing to 1.
    """
    weights = windows.weights
    total = np.bincount(windows.owners, weights, texts)
    sums = [np.bincount(windows.owners, weights * logits[:, label.id], texts) for label in LABELS]
    mean = np.stack(sums, axis=1) / total[:, None] / temperature
    shifted = np.exp(mean - mean.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float64)
