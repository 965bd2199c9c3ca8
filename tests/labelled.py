"""Labelled files and crawls whose words decide their label, and a version that knows them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from tests.crawls import write_jsonl
from tests.small_fit import PADDING_LENGTH, SETTINGS, WORDS, make_parts
from trainer.fit import train_with_early_stopping
from trainer.publish import publish

LABELS_KO = ("부정", "중립", "긍정")


def build_fitted_version(target: Path) -> Path:
    """A tiny version that labels by the words. The same each time."""
    parts = make_parts()
    with tempfile.TemporaryDirectory() as checkpoints:
        result = train_with_early_stopping(
            parts.model, parts.train, parts.validation, SETTINGS, Path(checkpoints), device="cpu"
        )
    assert result.best_macro_f1 > 0.9
    publish(
        result.model,
        parts.tokenizer,
        target,
        padding_length=PADDING_LENGTH,
        metrics={"macro_f1": result.best_macro_f1},
        training={},
    )
    return target


def sentence(n: int) -> str:
    return f"{n}번째 영화는 {WORDS[n % 3]} {n % 7}"


def write_labelled(path: Path, numbers: Iterable[int], names: Sequence[str] = LABELS_KO) -> Path:
    """JSON Lines of texts and the labels that their words say, called by these names."""
    with path.open("w", encoding="utf-8") as file:
        for n in numbers:
            file.write(json.dumps({"text": sentence(n), "label": names[n % 3]}) + "\n")
    return path


def write_sentences(path: Path, numbers: Iterable[int]) -> Path:
    """A crawl of such texts."""
    return write_jsonl(path, ({"id": f"s-{n}", "text": sentence(n)} for n in numbers))


def one_thread() -> None:
    """So small a model is slower with more."""
    torch.set_num_threads(1)
