"""Tokenizer and model of a version, from its files to memory, each checked as it is loaded.

A checksum says that the files are those that were published, not that they make a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification
from transformers.utils import logging as transformers_logging

from core.errors import ModelError
from sentiment.labels import LABEL_NAMES
from sentiment.text import prepare
from sentiment.windows import FRAME_TOKENS

SELF_TEST = "이 영화는 정말 재미있었다"


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a version: it neither pads nor cuts, and what looks special is text.

    Raises:
        ModelError: it is none, or does not read Hangul.
    """
    try:
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    except Exception as error:  # the library raises nothing more precise
        raise ModelError(f"{directory}: tokenizer.json is no tokenizer") from error
    make_ready(tokenizer, str(directory))
    return tokenizer


def make_ready(tokenizer: Tokenizer, where: str) -> None:
    """Let a tokenizer read as serving does, and test that it reads Hangul.

    Args:
        tokenizer: changed in place.
        where: it is from, for the message.

    Raises:
        ModelError: it does not read Hangul, or lacks a token that frames a window.
    """
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # Else a writer's own "[SEP]" or "[PAD]" would be read as the model's.
    tokenizer.encode_special_tokens = True
    encoded = tokenizer.encode(prepare(SELF_TEST), add_special_tokens=False)
    if not encoded.tokens or "[UNK]" in encoded.tokens:
        raise ModelError(f"{where}: its tokenizer does not read Hangul (it gives [UNK])")
    for token in FRAME_TOKENS:
        if tokenizer.token_to_id(token) is None:
            raise ModelError(f"{where}: its tokenizer has no {token}")


def load_model(
    directory: Path, *, padding_length: int, vocabulary: int
) -> ElectraForSequenceClassification:
    """The model of a version on the CPU in fp32, as it was trained.

    Args:
        directory: of the version.
        padding_length: tokens that the model must have positions for.
        vocabulary: tokens that the model must know.

    Raises:
        ModelError: the files are no such model.
    """
    transformers_logging.disable_progress_bar()  # a worker's stderr is its log
    try:
        # Typed as the model alone; with `output_loading_info` it is a pair.
        loaded: Any = ElectraForSequenceClassification.from_pretrained(
            str(directory),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{directory}: cannot be loaded ({type(error).__name__})") from error
    model, report = loaded
    if report["missing_keys"]:
        # The library fills them with random numbers: a head like that says anything.
        first = sorted(report["missing_keys"])[0]
        raise ModelError(f"{directory}: model.safetensors lacks {first}")
    _check_config(model.config, directory, padding_length, vocabulary)
    ready: ElectraForSequenceClassification = model.eval().requires_grad_(False)
    return ready


def _check_config(config: Any, directory: Path, padding_length: int, vocabulary: int) -> None:
    id2label: dict[int, str] = config.id2label
    names = tuple(id2label[place] for place in sorted(id2label))
    if names != LABEL_NAMES:
        raise ModelError(f"{directory}: the model's labels are {names}, not {LABEL_NAMES}")
    if config.max_position_embeddings < padding_length:
        raise ModelError(f"{directory}: the padding length is longer than the model's positions")
    if config.vocab_size < vocabulary:
        raise ModelError(f"{directory}: the tokenizer has more tokens than the model knows")
