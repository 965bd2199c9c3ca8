"""How far an engine's answers are from fp32's, on texts written for this. Pure.

A lower precision moves every probability a little. What it must not do is say something else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sentiment.batching import plan_batches
from sentiment.engines.engine import Engine
from sentiment.manifest import Tolerance
from sentiment.probabilities import text_probabilities
from sentiment.windows import Windows

CHECK_TEXTS = Path(__file__).with_name("check_texts.txt")
NO_LABEL_TO_KEEP = 0.05  # between the two likeliest in fp32: nearer, either label is as right

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """What was measured."""

    difference: float
    """The largest between two probabilities of one text and label."""
    flips: int
    """Texts whose label changes though fp32 was sure by `NO_LABEL_TO_KEEP`."""
    texts: int

    def words(self) -> str:
        """In a few words, for a person."""
        share = f"{self.flips} of {self.texts} labels change"
        return f"a probability is off by {self.difference:.3f}, {share}"


def check_texts() -> tuple[str, ...]:
    """About 300 Korean texts of all kinds that analysts read, prepared by nobody."""
    lines = CHECK_TEXTS.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("# "))


def check_texts_mark() -> str:
    """A short name for these very texts: what was measured or made with others is another's."""
    return hashlib.sha256(CHECK_TEXTS.read_bytes()).hexdigest()[:8]


def answers(engine: Engine, windows: Windows, batch_tokens: int) -> Probabilities:
    """What an engine says of texts: float64 [texts, 3]. At temperature 1, where it is sharpest."""
    batches = plan_batches(windows.widths, batch_tokens, len(windows))
    texts = int(windows.owners[-1]) + 1
    return text_probabilities(engine.compute(windows, batches), windows, texts, 1.0)


def measure(exact: Probabilities, found: Probabilities) -> Agreement:
    """Compare an engine with fp32.

    Args:
        exact: float64 [texts, 3], of fp32.
        found: float64 [texts, 3]; what is no number is off by 1.
    """
    off = np.nan_to_num(np.abs(exact - found), nan=1.0)
    ordered = np.sort(exact, axis=1)
    sure = ordered[:, -1] - ordered[:, -2] > NO_LABEL_TO_KEEP
    flips = sure & (exact.argmax(axis=1) != found.argmax(axis=1))
    return Agreement(float(off.max()), int(flips.sum()), len(exact))


def what_is_wrong(agreement: Agreement, tolerance: Tolerance) -> str | None:
    """Say in one line how an engine is outside the tolerance; None: it is within."""
    allowed = int(tolerance.flips * agreement.texts)
    if agreement.difference <= tolerance.difference and agreement.flips <= allowed:
        return None
    return f"{agreement.words()} (at most {tolerance.difference:g} and {allowed})"
