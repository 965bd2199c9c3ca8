"""The sides of the inference benchmark: what each loads, in how many processes, what it pads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import baselines
from benchmarks.crew import Make
from benchmarks.engines import engines_here, make_classifier

REFERENCE = "pipeline(32), given order"
Lengths = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """What labels, in how many processes, and how many of the rows it gets."""

    make: Make
    arguments: tuple[Any, ...]
    processes: int
    share: float
    """Of the rows, so that a slow side ends in time."""
    precision: str
    padded: Callable[[Lengths], float] | None = None
    """Tokens computed for a piece of texts in their order; None: the side tells them itself."""


def list_sides(version: Path, device: str, processes: int, cache: Path) -> dict[str, Side]:
    """Every side that this machine can run, by name, in the order of the table.

    Args:
        version: its directory.
        device: `cpu` or `cuda:N`.
        processes: of ours on a CPU, one thread each; torch's are measured as one process with as
            many threads too.
        cache: for converted engines.
    """
    cpu = device == "cpu"
    # On a GPU nobody would run a pipeline in fp32: ours must not gain by that.
    plain = "fp32" if cpu else "fp16"

    def usual(rows: int, share: float, *, sort: bool = False, alone: bool = False) -> Side:
        arguments = (version, device, plain, rows, sort, 1 if alone else None)
        padded = partial(_padded_in_batches, rows=rows, sort=sort)
        many = processes if alone else 1
        return Side(baselines.make_pipeline, arguments, many, share, plain, padded)

    before = (version, device)
    sides = {
        "the original's way": Side(
            baselines.make_original, before, 1, 1 / 64, "fp32", _padded_to_sixty
        ),
        "padded to 60, batches of 128": Side(
            baselines.make_fixed, before, 1, 1 / 4, "fp32", _padded_to_sixty
        ),
        "pipeline(1)": usual(1, 1 / 8),
        REFERENCE: usual(32, 1 / 4),
        "pipeline(32), sorted by characters": usual(32, 1 / 2, sort=True),
    }
    if cpu and processes > 1:
        sides |= {
            "pipeline(32), given order, a process a core": usual(32, 1 / 4, alone=True),
            "pipeline(32), sorted, a process a core": usual(32, 1 / 2, sort=True, alone=True),
        }
    for engine, precision in engines_here(device):
        arguments = (version, device, engine, precision, cache)
        many = processes if cpu else 1
        name = f"ours: {engine} {precision}"
        sides[name] = Side(make_classifier, arguments, many, 1, precision)
        if many > 1 and engine == "torch":
            threads = (*arguments, many)
            sides[f"{name}, threads"] = Side(make_classifier, threads, 1, 1, precision)
    return sides


def _padded_in_batches(lengths: Lengths, *, rows: int, sort: bool) -> float:
    # Sorted by tokens where the side sorts by characters: it pads a little more than this.
    given = np.sort(lengths) if sort else lengths
    batches = [given[start : start + rows] for start in range(0, len(given), rows)]
    return float(sum(len(batch) * batch.max() for batch in batches))


def _padded_to_sixty(lengths: Lengths) -> float:
    return float(np.maximum(lengths, baselines.ORIGINAL_TOKENS).sum())
