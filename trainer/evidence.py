"""What the gate looks at: the candidate and the active version on the same rows.

Plain values: it knows nothing of models, files or databases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment import metrics
from sentiment.labels import LABEL_NAMES, LABELS
from sentiment.metrics import Ids, Probabilities


@dataclass(frozen=True)
class HeldOut:
    """The test rows: label ids, int64 [rows]. `active` is None where no version is active.

    The candidate's probabilities, float64 [rows, 3], are for its manifest and its page.
    """

    truth: Ids
    candidate: Ids
    active: Ids | None = None
    candidate_probabilities: Probabilities | None = None


@dataclass(frozen=True)
class Flip:
    """A stored document whose label changes. `confidence`: the candidate's, in the new label."""

    text: str
    before: str
    after: str
    confidence: float
    source: str = ""


@dataclass(frozen=True)
class SourceShift:
    """One source's documents in the sample by label name, under both versions.

    Without an active version `before` is empty and `psi` 0.
    """

    source: str
    documents: int
    before: dict[str, int]
    after: dict[str, int]
    psi: float


def _no_flips() -> NDArray[np.int64]:
    return np.zeros((len(LABELS), len(LABELS)), np.int64)


@dataclass(frozen=True)
class Sample:
    """A fixed sample of the stored documents, labelled by both versions.

    `flips`: int64 [before, after], documents; the diagonal is what stays. Zero without an active
    version.
    """

    documents: int = 0
    sources: list[SourceShift] = field(default_factory=list)
    flips: NDArray[np.int64] = field(default_factory=_no_flips)
    top_flips: list[Flip] = field(default_factory=list)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Documents by label id before and after: int64 [3] each."""
        before, after = (
            np.array(
                [sum(labels.get(name, 0) for labels in sides) for name in LABEL_NAMES], np.int64
            )
            for sides in ([s.before for s in self.sources], [s.after for s in self.sources])
        )
        return before, after


@dataclass(frozen=True)
class Evidence:
    """All that the gate looks at."""

    held_out: HeldOut
    sample: Sample = field(default_factory=Sample)
    new_head: bool = False
    """The candidate's classification head is missing or was never trained: it says anything."""
    defects: list[str] = field(default_factory=list)
    """Why the candidate cannot serve at all, such as a tokenizer that does not read Hangul."""
    active_problem: str = ""
    """Why the active version could not be scored, where there is one."""
    active_own_split: bool = False
    """No retrain made the active version: what it has learnt from may be these test rows."""


def gather_figures(held_out: HeldOut, sample: Sample) -> dict[str, Any]:
    """Both versions' measures, as JSON has them and without any text.

    `candidate` and `active` (None without one): accuracy, macro-F1 over all classes, and recall,
    precision and F1 per class on the `test_rows`. `sample`: documents by label under both versions,
    in all and by source, PSI, the flip matrix and the share of documents whose label changes.
    """
    active = held_out.active
    return {
        "test_rows": by_label(np.bincount(held_out.truth, minlength=len(LABELS))),
        "candidate": _measure(held_out.truth, held_out.candidate),
        "active": None if active is None else _measure(held_out.truth, active),
        "sample": sample_figures(sample),
    }


def sample_figures(sample: Sample) -> dict[str, Any]:
    """What `gather_figures` says of a sample."""
    before, after = sample.counts()
    changed = sample.flips.sum() - np.trace(sample.flips)
    return {
        "documents": sample.documents,
        "before": by_label(before),
        "after": by_label(after),
        "sources": [{**shift.__dict__, "psi": round(shift.psi, 4)} for shift in sample.sources],
        "flips": sample.flips.tolist(),
        "flipped": round(float(changed) / max(1, sample.documents), 4),
    }


def by_label(counts: NDArray[np.int64]) -> dict[str, int]:
    """Counts by label name, from counts by label id."""
    return dict(zip(LABEL_NAMES, counts.tolist(), strict=True))


def _measure(truth: Ids, said: Ids) -> dict[str, Any]:
    counts = metrics.confusion(truth, said)
    per_class = {
        "recall": metrics.recall_per_class(counts),
        "precision": metrics.precision_per_class(counts),
        "f1": metrics.f1_per_class(counts),
    }
    return {
        "accuracy": round(metrics.accuracy(counts), 4),
        "macro_f1": round(metrics.macro_f1(counts), 4),
    } | {
        name: dict(zip(LABEL_NAMES, (round(value, 4) for value in values), strict=True))
        for name, values in per_class.items()
    }
