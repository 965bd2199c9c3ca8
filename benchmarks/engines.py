"""Our classifier as a function that a `Crew` makes in its processes, and what it runs on here."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from sentiment.classifier import Classifier
from sentiment.device import choose_device, has_bf16


def resolve_device(name: str) -> str:
    """`cpu` or `cuda:N`, for a name as the setting takes it."""
    return str(choose_device(name))


def engines_here(device: str) -> list[tuple[str, str]]:
    """(engine, precision) that can be measured on a device, as exact as can be first."""
    bf16 = ["bf16"] if has_bf16(torch.device(device)) else []
    if device != "cpu":
        return [("torch", precision) for precision in ("fp32", "fp16", *bf16)]
    here = [("torch", precision) for precision in ("fp32", *bf16)]
    if find_spec("openvino"):
        here += [("openvino", precision) for precision in ("fp32", *bf16)]
        here += [("openvino", "int8")] if find_spec("nncf") else []
    return here


def load(
    directory: Path, device: str, engine: str, precision: str, cache: Path, threads: int = 1
) -> Classifier:
    """A classifier of this engine, in so many threads on a CPU.

    Raises:
        SystemExit: another engine took its place; a benchmark must not measure that one.
    """
    classifier = Classifier.load(
        directory,
        device=device,
        engine=engine,
        precision=precision,
        threads=threads if device == "cpu" else None,
        cache=cache,
    )
    if (classifier.facts.engine, classifier.facts.precision) != (engine, precision):
        raise SystemExit(f"{engine} {precision} was not used: {classifier.facts.why}")
    return classifier


def make_classifier(
    directory: Path, device: str, engine: str, precision: str, cache: Path, threads: int = 1
) -> Callable[[list[str]], tuple[int, int]]:
    """A function that labels a chunk and says how many tokens it held, without padding and with."""
    classifier = load(directory, device, engine, precision, cache, threads)

    def label(texts: list[str]) -> tuple[int, int]:
        work = classifier.predict(texts).work
        return work.tokens, work.padded_tokens

    return label
