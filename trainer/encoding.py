"""Prepared texts -> token ids, cut into the same windows that serving cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sentiment.batching import WINDOW_OVERLAP, plan_windows

SPECIAL_TOKENS = 2  # [CLS] and [SEP] around each window
ENCODED_AT_ONCE = 50_000


@dataclass(frozen=True)
class Encoded:
    """Windows of texts: ragged token ids, and the label of each window's text."""

    input_ids: list[NDArray[np.int32]]
    label_ids: NDArray[np.int64]


def token_lengths(tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.int64]:
    """Tokens of each text, special ones included: int64 [texts]."""
    lengths: list[int] = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        encoded = tokenizer.encode_batch_fast(texts[start : start + ENCODED_AT_ONCE])
        lengths.extend(len(item.ids) for item in encoded)
    return np.array(lengths, dtype=np.int64)


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], label_ids: NDArray[np.int64], padding_length: int
) -> Encoded:
    """Encode texts for training and evaluation; a long text becomes several windows."""
    windows: list[NDArray[np.int32]] = []
    owners: list[int] = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        encoded = tokenizer.encode_batch_fast(list(texts[start : start + ENCODED_AT_ONCE]))
        for place, item in enumerate(encoded, start):
            ids = np.array(item.ids, dtype=np.int32)
            for begin, end in plan_windows(
                len(ids) - SPECIAL_TOKENS, padding_length - SPECIAL_TOKENS, WINDOW_OVERLAP
            ):
                windows.append(np.concatenate([ids[:1], ids[1 + begin : 1 + end], ids[-1:]]))
                owners.append(place)
    return Encoded(windows, label_ids[owners])
