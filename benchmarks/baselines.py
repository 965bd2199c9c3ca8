"""How Electra is usually run, each as a function that a `Crew` makes in its processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    ElectraForSequenceClassification,
    PreTrainedModel,
    pipeline,
)
from transformers.utils import logging as transformers_logging

ORIGINAL_TOKENS = 60  # of every text: hard-coded in the original
ORIGINAL_ROWS = 128

Label = Callable[[list[str]], None]


def make_original(directory: Path, device: str) -> Label:
    """As the original labelled: one text at a time, padded to 60, the tokenizer loaded for each."""
    model = _load(directory, device, "fp32", None)

    def label(texts: list[str]) -> None:
        for text in texts:
            _forward(model, AutoTokenizer.from_pretrained(str(directory)), [text])

    return label


def make_fixed(directory: Path, device: str) -> Label:
    """The tokenizer loaded once, batches of 128 in given order, all padded to 60."""
    model = _load(directory, device, "fp32", None)
    tokenizer = AutoTokenizer.from_pretrained(str(directory))

    def label(texts: list[str]) -> None:
        for start in range(0, len(texts), ORIGINAL_ROWS):
            _forward(model, tokenizer, texts[start : start + ORIGINAL_ROWS])

    return label


def make_pipeline(
    directory: Path, device: str, precision: str, rows: int, sort: bool, threads: int | None
) -> Label:
    """`transformers.pipeline`, in given order or sorted by characters.

    Args:
        directory: of the version.
        device: to compute on.
        precision: fp32, bf16 or fp16.
        rows: its `batch_size`.
        sort: by characters.
        threads: on a CPU; None: torch's own choice.
    """
    model = _load(directory, device, precision, threads)
    classify: Any = pipeline(
        "text-classification",
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(str(directory)),
        device=torch.device(device),
    )

    def label(texts: list[str]) -> None:
        given = sorted(texts, key=len) if sort else texts
        classify(given, batch_size=rows, truncation=True)

    return label


def _load(directory: Path, device: str, precision: str, threads: int | None) -> PreTrainedModel:
    logging: Any = transformers_logging  # has no types
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if threads is not None:
        torch.set_num_threads(threads)
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    model: Any = ElectraForSequenceClassification.from_pretrained(
        str(directory), local_files_only=True, dtype=types[precision]
    )
    ready: PreTrainedModel = model.eval().to(device)
    return ready


def _forward(model: PreTrainedModel, tokenizer: Any, texts: list[str]) -> None:
    encoded = tokenizer(
        texts,
        padding="max_length",
        truncation=True,
        max_length=ORIGINAL_TOKENS,
        return_tensors="pt",
    ).to(model.device)
    with torch.no_grad():
        model(**encoded).logits.argmax(dim=-1).tolist()
