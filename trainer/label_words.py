"""Words of a label column -> label ids: names in English or Korean, or ids by a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from sentiment.labels import LABEL_NAMES, LABELS, parse_label

# A column with more is not one of labels, and what it holds may be texts, which no message shows.
MAX_LISTED = 20
MAX_CHARACTERS = 20
_NAMES = ", ".join(f"{label.name} ({label.name_ko})" for label in LABELS)


def resolve_labels(
    words: Sequence[str], label_map: Mapping[str, str] | None, *, where: str
) -> NDArray[np.int64]:
    """Label ids: int64 [words].

    Args:
        words: as they were read.
        label_map: word to label name, for words that are no names.
        where: that they stand, for the message.

    Raises:
        InputError: the words that mean no label, listed.
    """
    named = {word.strip(): name for word, name in (label_map or {}).items()}
    meaning = {word: parse_label(named.get(word.strip(), word)) for word in set(words)}
    unknown = sorted(word for word, label in meaning.items() if label is None)
    if unknown:
        raise InputError(_unknown_words(unknown, where))
    ids = {word: label.id for word, label in meaning.items() if label is not None}
    return np.fromiter((ids[word] for word in words), np.int64, len(words))


def _unknown_words(unknown: Sequence[str], where: str) -> str:
    if len(unknown) > MAX_LISTED or any(len(word) > MAX_CHARACTERS for word in unknown):
        return (
            f"{where} holds {len(unknown):,} different values that are no labels: is it the right"
            f" column? Labels are {_NAMES}"
        )
    listed = ", ".join(unknown)
    message = f"{where} holds labels that are none of {_NAMES}: {listed}"
    if all(_is_number(word) for word in unknown):
        example = ",".join(
            f"{word}={name}" for word, name in zip(unknown, LABEL_NAMES, strict=False)
        )
        message += f". If they are ids, say what each means, such as --label-map {example}"
    return message


def _is_number(word: str) -> bool:
    return word.strip().removeprefix("-").isdecimal()
