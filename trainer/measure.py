"""What an evaluation during a fit says: measured on texts, as serving answers them. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentiment import metrics
from sentiment.labels import LABELS
from trainer.encoding import SPECIAL_TOKENS, Encoded


class TextMeasure:
    """Logits of windows -> loss, accuracy and macro-F1 of their texts.

    Args:
        encoded: the windows.
        class_weights: of the loss, in the order of the label ids; None: all the same.
    """

    def __init__(self, encoded: Encoded, class_weights: tuple[float, ...] | None) -> None:
        texts, first, self._owners = np.unique(
            encoded.owners, return_index=True, return_inverse=True
        )
        self._texts = len(texts)
        self._truth = encoded.label_ids[first]
        # As serving weighs them: by their tokens without the special ones.
        self._weights = (encoded.lengths() - SPECIAL_TOKENS).clip(1).astype(np.float64)
        self._class_weights = np.array(class_weights or [1.0] * len(LABELS))

    def __call__(self, logits: NDArray[np.floating]) -> dict[str, float]:
        """Measure.

        Args:
            logits: [windows, 3], in the order of the windows.

        Returns:
            `loss`: cross entropy weighted by class, without label smoothing; `accuracy` and
            `macro_f1`.
        """
        total = np.bincount(self._owners, self._weights, self._texts)
        sums = [
            np.bincount(self._owners, self._weights * logits[:, label.id], self._texts)
            for label in LABELS
        ]
        mean = np.stack(sums, axis=1) / total[:, None]
        counts = metrics.confusion(self._truth, mean.argmax(axis=1))
        return {
            "loss": self._loss(mean),
            "accuracy": metrics.accuracy(counts),
            "macro_f1": metrics.macro_f1(counts),
        }

    def _loss(self, logits: NDArray[np.float64]) -> float:
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        weights = self._class_weights[self._truth]
        return float(-(weights * log_p[np.arange(self._texts), self._truth]).sum() / weights.sum())
