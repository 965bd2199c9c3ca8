"""Versions to measure by shape, and how many operations a shape costs on real tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sentiment.store import shipped_version
from sentiment.text import prepare
from trainer.publish import publish
from trainer.shape import make_model

SHAPES = ("base", "starter")
BASE_PADDING_LENGTH = 160  # positions; no review is as long
SPECIAL_TOKENS = 2  # [CLS] and [SEP]


def version_of(shape: str, scratch: Path) -> Path:
    """The directory of a version: the shipped one, or one of KoELECTRA-base's shape.

    The latter has random weights, which cost what trained ones do, and the starter's tokenizer.
    """
    if shape == "starter":
        return shipped_version()
    torch.manual_seed(0)
    tokenizer = tokenizer_of(shipped_version())
    model = make_model(tokenizer, BASE_PADDING_LENGTH, layers=12, width=768, heads=12)
    target = scratch / shape
    publish(model, tokenizer, target, padding_length=BASE_PADDING_LENGTH, metrics={}, training={})
    return target


def tokenizer_of(version: Path) -> Tokenizer:
    """A version's tokenizer, which neither pads nor cuts."""
    tokenizer = Tokenizer.from_file(str(version / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def token_lengths(version: Path, texts: Sequence[str]) -> NDArray[np.int64]:
    """int64 [texts]: tokens of each prepared text, [CLS] and [SEP] included."""
    encoded = tokenizer_of(version).encode_batch_fast(
        [prepare(text) for text in texts], add_special_tokens=False
    )
    return np.array([len(item.ids) + SPECIAL_TOKENS for item in encoded], np.int64)


def operations(version: Path, lengths: NDArray[np.int64], *, lean: bool = False) -> float:
    """Operations of matrices alone for texts of so many tokens, none of them padding.

    A multiplication and an addition are two. Norms, GELU, softmax and look-ups are left out, as is
    usual, so that a share of the peak tells what they cost.

    Args:
        version: whose shape counts.
        lengths: int64 [texts], tokens of each, [CLS] and [SEP] included.
        lean: count only what an engine computes that leaves out the last layer but for the first
            token, which alone is read: what is not computed must not raise its share.
    """
    config: dict[str, Any] = json.loads((version / "config.json").read_text(encoding="utf-8"))
    width, inner = config["hidden_size"], config["intermediate_size"]
    layers, texts, tokens = config["num_hidden_layers"], len(lengths), float(lengths.sum())
    squares = float((lengths**2).sum())
    total = layers * (tokens * (8 * width**2 + 4 * width * inner) + squares * 4 * width)
    if lean:
        # Of the last layer: keys and values of all, the rest of one token a text.
        total -= (tokens - texts) * (4 * width**2 + 4 * width * inner)
        total -= (squares - tokens) * 4 * width
    if config["embedding_size"] != width:
        total += 2 * tokens * config["embedding_size"] * width
    return float(total + 2 * texts * (width**2 + width * len(config["id2label"])))
