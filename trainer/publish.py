"""A fitted model as a version: safetensors, tokenizer, manifest, model card.

Weights are kept as fp16; word vectors as float8 where they shall be small, which transformers'
`from_pretrained` widens by itself (docs/decisions/0002-starter.md says what that costs).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification

from sentiment.manifest import Manifest
from sentiment.store import save_version
from trainer.vocabulary import save_tokenizer

CARD = "README.md"
WORD_VECTORS = "electra.embeddings.word_embeddings.weight"


def publish(
    model: ElectraForSequenceClassification,
    tokenizer: Tokenizer,
    target: Path,
    *,
    padding_length: int,
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
    card: str | None = None,
    compact_words: bool = False,
) -> Manifest:
    """Write a version directory, whole or not at all.

    Args:
        model: fitted.
        tokenizer: of the model.
        target: the directory to make; its name is the version's.
        padding_length: tokens, special ones included.
        metrics: of the held-out rows, as `sentiment.metrics.summarize` gives them.
        training: what it was trained on and how, for the manifest.
        card: Markdown for people, if there is one.
        compact_words: a byte for each value of the word vectors, not two (float8, E4M3: four
            significant bits from 0.016 to 448, steps of 0.002 below).
    """
    aside = target.parent / f".{target.name}.{uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        _write_weights(model, aside, compact_words)
        model.config.to_json_file(str(aside / "config.json"))
        save_tokenizer(tokenizer, aside, padding_length)
        if card is not None:
            (aside / CARD).write_text(card, encoding="utf-8")
        manifest = Manifest(
            name=target.name,
            padding_length=padding_length,
            metrics=dict(metrics),
            training=dict(training),
        )
        return save_version(aside, target, manifest)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_weights(
    model: ElectraForSequenceClassification, directory: Path, compact_words: bool
) -> None:
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
        if not name.endswith("position_ids") and isinstance(value, torch.Tensor)
    }
    if compact_words:
        weights[WORD_VECTORS] = weights[WORD_VECTORS].to(torch.float8_e4m3fn)
    path = directory / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the library writes it for the owner alone
