"""Which way of computing a version is the fastest here: what is tried, and what is taken. Pure.

One thing at a time, the best of it kept for the next: engine, then batch budget, then processes
against threads. It knows neither processes nor models; who calls it measures.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sentiment.tuning import SAFE_PRECISIONS

CPU_BUDGETS = (256, 512, 1_024, 2_048)
GPU_BUDGETS = (8_192, 16_384, 32_768, 65_536)
CPU_BUDGET, GPU_BUDGET = 1_024, 32_768  # of the engines, before the budgets are tried
GPU_PROCESSES = 2  # one's database and tokenizer time overlaps the other's GPU time
WORTH_IT = 1.03  # less is noise: the default stays


@dataclass(frozen=True)
class Candidate:
    """One way to compute: engine and precision as `Classifier.load` takes them."""

    engine: str
    precision: str
    batch_tokens: int
    processes: int
    threads: int


@dataclass(frozen=True)
class Trial:
    """What came of a candidate.

    candidate: with engine and precision as they were loaded. documents_per_s: one a round, of all
    processes together; none where it cannot be used. refused: why not.
    """

    candidate: Candidate
    documents_per_s: tuple[float, ...] = ()
    refused: str | None = None

    @property
    def rate(self) -> float:
        """Documents a second: the median of the rounds."""
        return statistics.median(self.documents_per_s) if self.documents_per_s else 0.0


# Interleaved rounds over the candidates, in their order.
Measure = Callable[[Sequence[Candidate]], list[Trial]]


def search(
    measure: Measure,
    *,
    cores: int,
    gpu: bool,
    budget: int | None = None,
    precision: str = "auto",
    quick: bool = False,
) -> tuple[Trial | None, list[Trial]]:
    """Try and choose.

    Args:
        measure: measures candidates side by side.
        cores: that there are.
        gpu: whether it computes on one.
        budget: padded tokens of a batch to begin with: the default of such a model.
        precision: as set. int8 is shown where it can be had, and taken where it was asked for.
        quick: try fewer budgets.

    Returns:
        The chosen one (None: nothing could be used) and all of them in the order tried.
    """
    processes = GPU_PROCESSES if gpu else cores
    usual = GPU_BUDGET if gpu else CPU_BUDGET
    start = Candidate("torch", precision, budget or usual, processes, 1)
    engines = [start]
    if not gpu:
        engines.append(replace(start, engine="openvino"))
        if precision == "auto":
            engines.append(replace(start, engine="openvino", precision="int8"))
    trials = measure(engines)
    best = _best(trials, precision)
    if best is None:
        return None, trials
    found = measure([_with(best, batch_tokens=budget) for budget in _budgets(start, gpu, quick)])
    trials += found
    best = _best([best, *found], precision) or best
    counts = sorted({processes, max(1, processes // 2), 1}, reverse=True)
    if len(counts) > 1:
        shared = [(count, 1 if gpu else cores // count) for count in counts]
        found = measure([_with(best, processes=count, threads=each) for count, each in shared])
        trials += found
        best = _best(found, precision) or best
    return best, trials


def _budgets(start: Candidate, gpu: bool, quick: bool) -> list[int]:
    if quick:
        return [start.batch_tokens // 2, start.batch_tokens]
    return list(GPU_BUDGETS if gpu else CPU_BUDGETS)


def _with(trial: Trial, **changes: int) -> Candidate:
    return replace(trial.candidate, **changes)  # type: ignore[arg-type]


def _best(trials: Sequence[Trial], precision: str) -> Trial | None:
    """The first one that can be used, unless another is clearly faster."""
    usable = [
        trial
        for trial in trials
        if trial.documents_per_s
        and trial.refused is None  # in a later round: it was fast until it broke
        and (trial.candidate.precision in SAFE_PRECISIONS or precision != "auto")
    ]
    best = usable[0] if usable else None
    for trial in usable[1:]:
        if best is not None and trial.rate > best.rate * WORTH_IT:
            best = trial
    return best
