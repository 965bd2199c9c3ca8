"""Prepared texts -> token ids, cut into the same windows that serving cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sentiment.batching import WINDOW_OVERLAP, plan_windows

SPECIAL_TOKENS = 2  # [CLS] and [SEP] around each window
ENCODED_AT_ONCE = 50_000  # texts; their encodings take some hundred bytes a token

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Encoded:
    """Windows of texts, in the order of the texts."""

    input_ids: list[Ids]
    """int32 [tokens] of each window, [CLS] and [SEP] included."""
    label_ids: NDArray[np.int64]
    """int64 [windows]: the label of each window's text."""
    owners: NDArray[np.int64]
    """int64 [windows]: the place of each window's text."""
    targets: NDArray[np.float32] | None = None
    """float32 [windows, labels]: what a fit is to say instead of the label; rows sum to 1."""

    def with_targets(self, targets: NDArray[np.float32]) -> Encoded:
        """The same windows with what a fit is to say of each text: float32 [texts, labels]."""
        return replace(self, targets=targets[self.owners])

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each window: int64 [windows]."""
        return np.fromiter((len(ids) for ids in self.input_ids), np.int64, len(self.input_ids))


def token_lengths(tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.int64]:
    """Tokens of each text, special ones included: int64 [texts]."""
    lengths: list[int] = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        encoded = tokenizer.encode_batch_fast(
            list(texts[start : start + ENCODED_AT_ONCE]), add_special_tokens=False
        )
        lengths.extend(len(item.ids) + SPECIAL_TOKENS for item in encoded)
    return np.array(lengths, dtype=np.int64)


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], label_ids: NDArray[np.int64], padding_length: int
) -> Encoded:
    """Encode texts for training and evaluation; a long text becomes several windows."""
    # By hand, as serving does: what a foreign tokenizer.json would add is its own affair.
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    windows: list[Ids] = []
    owners: list[int] = []
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        encoded = tokenizer.encode_batch_fast(
            list(texts[start : start + ENCODED_AT_ONCE]), add_special_tokens=False
        )
        for place, item in enumerate(encoded, start):
            ids = item.ids
            for begin, end in plan_windows(
                len(ids), padding_length - SPECIAL_TOKENS, WINDOW_OVERLAP
            ):
                windows.append(np.array([cls, *ids[begin:end], sep], dtype=np.int32))
                owners.append(place)
    places = np.array(owners, dtype=np.int64)
    return Encoded(windows, label_ids[places], places)
