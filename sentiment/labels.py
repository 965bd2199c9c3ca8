"""The label set: id <-> name <-> Korean name. The ids are the model's output places."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """One of the three sentiments."""

    id: int
    name: str
    name_ko: str


NEGATIVE = Label(0, "negative", "부정")
NEUTRAL = Label(1, "neutral", "중립")
POSITIVE = Label(2, "positive", "긍정")
LABELS = (NEGATIVE, NEUTRAL, POSITIVE)
LABEL_NAMES = tuple(label.name for label in LABELS)

_BY_NAME = {name: label for label in LABELS for name in (label.name, label.name_ko)}


def parse_label(word: str) -> Label | None:
    """The label that a word means, English or Korean; None for any other word."""
    return _BY_NAME.get(word.strip().lower())
