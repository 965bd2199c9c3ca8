"""The gate: may this candidate go live? A pure verdict on evidence that others gathered.

It knows nothing of models, files or databases: label ids and counts in, a verdict out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sentiment import metrics
from sentiment.labels import LABELS, Label
from sentiment.metrics import Ids
from trainer.evidence import (
    Evidence,
    Flip,
    HeldOut,
    Sample,
    SourceShift,
    gather_figures,
)
from trainer.gate_words import Finding

__all__ = ["Evidence", "Flip", "HeldOut", "Sample", "SourceShift", "Verdict", "judge"]

MAX_MACRO_F1_FALL = 0.01
MAX_RECALL_FALL = 0.05
MAX_PSI = 0.2  # the usual line in credit scoring between "look at it" and "it has moved"
MIN_SHARE_KEPT = 0.25  # of what a class's share was
MIN_CLASS_ROWS = 200  # test rows; with fewer, one standard error of a recall is over 3 points
MIN_ROWS_TO_HEAR = 10  # test rows of a class; fewer may well be missed by a sound model
MIN_DOCUMENTS = 1_000  # stored ones, for the sample to say anything
MIN_SOURCE_DOCUMENTS = 100  # with fewer, a few changed labels are a PSI over the limit
ROUNDING = 1e-9  # a fall of exactly a limit passes, however its floats come out


@dataclass(frozen=True)
class Verdict:
    """What the gate says. Neither it nor its JSON holds a document's text."""

    passed: bool
    reasons: list[str]
    """Why it is blocked; each names the class or the source, and both figures."""
    notes: list[str]
    """What could not be judged, and why."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Both versions' measures, as JSON has them."""
    reasons_ko: list[str] = field(default_factory=list)
    notes_ko: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What is stored with a version and with a training run."""
        return dict(self.__dict__)


@dataclass
class _Found:
    """What is found, as it is found."""

    reasons: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    def block(self, code: str, **values: Any) -> None:
        self.reasons.append(Finding(code, **values))

    def note(self, code: str, **values: Any) -> None:
        self.notes.append(Finding(code, **values))


def judge(evidence: Evidence) -> Verdict:
    """Judge a candidate.

    It is blocked where it has a defect or an untrained head, where it never says one of the
    classes, and where it is worse than the active version by more than a limit above. A class with
    fewer than `MIN_CLASS_ROWS` test rows counts neither for recall nor for macro-F1, which is then
    the mean over the other classes: the stored sample alone judges it. A note says each time what
    was not judged.
    """
    found = _Found()
    for words in evidence.defects:
        found.block("defect", words=words)
    if evidence.new_head:
        found.block("new_head")
    if not found.reasons:  # else what it says means nothing, or it says nothing
        _judge_alone(evidence, found)
        _judge_against_active(evidence, found)
    return Verdict(
        passed=not found.reasons,
        reasons=[reason.en for reason in found.reasons],
        notes=[note.en for note in found.notes],
        figures=gather_figures(evidence.held_out, evidence.sample),
        reasons_ko=[reason.ko for reason in found.reasons],
        notes_ko=[note.ko for note in found.notes],
    )


def _judge_alone(evidence: Evidence, found: _Found) -> None:
    """Does it say every class at all?"""
    true, said = (
        np.bincount(ids, minlength=len(LABELS))
        for ids in (evidence.held_out.truth, evidence.held_out.candidate)
    )
    said_stored = evidence.sample.counts()[1]
    documents = evidence.sample.documents
    for label in LABELS:
        rows, heard = int(true[label.id]), int(said[label.id])
        if heard == 0 and rows >= MIN_CLASS_ROWS:
            found.block("never_said_in_test", label=label, rows=rows)
        elif heard + said_stored[label.id] == 0:
            enough = rows >= MIN_ROWS_TO_HEAR or documents >= MIN_DOCUMENTS
            say = found.block if enough else found.note
            code = "never_said" if enough else "few_to_hear"
            say(code, label=label, rows=rows, documents=documents)


def _judge_against_active(evidence: Evidence, found: _Found) -> None:
    held_out = evidence.held_out
    if evidence.active_problem:
        # Nobody knows what would change: a person decides, not the absence of a comparison.
        found.block("active_unreadable", words=evidence.active_problem)
    elif held_out.active is None:
        found.note("no_active")
    else:
        if evidence.active_own_split:
            found.note("own_split")
        _judge_test_rows(held_out.truth, held_out.active, held_out.candidate, found)
        _judge_sample(evidence.sample, found)


def _judge_test_rows(truth: Ids, active: Ids, candidate: Ids, found: _Found) -> None:
    before, after = metrics.confusion(truth, active), metrics.confusion(truth, candidate)
    rows = before.sum(axis=1)
    judged = [label for label in LABELS if rows[label.id] >= MIN_CLASS_ROWS]
    for label in LABELS:
        if label not in judged:
            found.note("few_rows", label=label, rows=int(rows[label.id]), limit=MIN_CLASS_ROWS)
    if not judged:
        found.note("no_macro_f1", limit=MIN_CLASS_ROWS)
        return
    old, new = (
        float(np.mean([metrics.f1_per_class(counts)[label.id] for label in judged]))
        for counts in (before, after)
    )
    if old - new > MAX_MACRO_F1_FALL + ROUNDING:
        found.block("macro_f1", before=old, after=new, limit=MAX_MACRO_F1_FALL, labels=judged)
    recalls = metrics.recall_per_class(before), metrics.recall_per_class(after)
    for label in judged:
        old, new = (recall[label.id] for recall in recalls)
        if old - new > MAX_RECALL_FALL + ROUNDING:
            found.block(
                "recall",
                label=label,
                before=old,
                after=new,
                limit=MAX_RECALL_FALL,
                rows=int(rows[label.id]),
            )


def _judge_sample(sample: Sample, found: _Found) -> None:
    if sample.documents < MIN_DOCUMENTS:
        found.note("few_documents", documents=sample.documents, limit=MIN_DOCUMENTS)
        return
    _judge_sources(sample.sources, found)
    before, after = sample.counts()
    for label in LABELS:
        old, new = int(before[label.id]), int(after[label.id])
        if new < old * MIN_SHARE_KEPT:  # of the same documents: counts say what shares say
            worst = min(sample.sources, key=partial(_change, label=label))
            found.block(
                "share",
                label=label,
                before=old / sample.documents,
                after=new / sample.documents,
                worst=worst.source,
                worst_before=worst.before[label.name] / worst.documents,
                worst_after=worst.after[label.name] / worst.documents,
            )


def _judge_sources(sources: list[SourceShift], found: _Found) -> None:
    small = [shift.source for shift in sources if shift.documents < MIN_SOURCE_DOCUMENTS]
    if small:
        found.note("few_source_documents", sources=small, limit=MIN_SOURCE_DOCUMENTS)
    for shift in sources:
        if shift.source not in small and shift.psi > MAX_PSI + ROUNDING:
            label = max(LABELS, key=lambda label: abs(_change(shift, label)))
            found.block(
                "psi",
                source=shift.source,
                psi=shift.psi,
                limit=MAX_PSI,
                label=label,
                before=shift.before[label.name] / shift.documents,
                after=shift.after[label.name] / shift.documents,
                documents=shift.documents,
            )


def _change(shift: SourceShift, label: Label) -> int:
    """Documents of a source that a label gains."""
    return shift.after[label.name] - shift.before[label.name]
