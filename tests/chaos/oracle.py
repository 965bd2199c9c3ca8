"""What the fake classifier says of a text: a pure function of version and text, known to all."""

from __future__ import annotations

import hashlib

from sentiment.labels import LABELS

POISON = "독이 든 글"  # a text with these words in it ends the process that labels it


def expected_label_id(version: str, text: str) -> int:
    """The one label that this version may give this text."""
    return hashlib.sha256(f"{version}\x00{text}".encode()).digest()[0] % len(LABELS)


def expected_label(version: str, text: str) -> str:
    """Its name."""
    return LABELS[expected_label_id(version, text)].name
