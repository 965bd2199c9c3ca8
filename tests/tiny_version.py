"""A tiny real version: one layer, hidden 32, random weights, a real vocabulary, a real manifest."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import ElectraForSequenceClassification

from sentiment.manifest import MANIFEST
from sentiment.store import record_file
from trainer.publish import publish
from trainer.shape import make_model
from trainer.vocabulary import train_vocabulary

TEXTS = [
    "이 영화는 정말 재미있었다",
    "너무 지루해서 졸았다",
    "그냥 그래요 나쁘지도 좋지도 않은 영화",
    "배우들 연기가 훌륭하고 음악도 좋았다",
    "돈이 아깝다 최악이다 ㅠㅠ",
    "번째로 본 영화인데 정말 좋았다 너무 지루했다 0 1 2 3 4 5 6 7 8 9",
]


def build_tiny_version(target: Path, *, seed: int = 0, padding_length: int = 32) -> Path:
    """Write a version directory. Different seeds label differently."""
    tokenizer = train_vocabulary(TEXTS * 3, 300)
    torch.manual_seed(seed)
    model = make_model(tokenizer, padding_length, layers=1, width=32, heads=2)
    spread_out(model)
    publish(
        model,
        tokenizer,
        target,
        padding_length=padding_length,
        metrics={"macro_f1": 0.33},
        training={"seed": seed},
    )
    return target


def name_in_manifest(version: Path, name: str) -> None:
    """Make the manifest name a file as it is now, as who changed or added it might."""
    manifest = json.loads((version / MANIFEST).read_text())
    manifest["files"][name] = record_file(version / name).model_dump()
    (version / MANIFEST).write_text(json.dumps(manifest))


def spread_out(model: ElectraForSequenceClassification, factor: float = 8) -> None:
    """Make random weights larger, so that texts get different labels and not all the same."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(factor)
