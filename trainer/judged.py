"""From a candidate to a version that was judged: compared, the page written, the manifest final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from db.samples import SampledDocument
from db.versions import VersionRow
from sentiment import metrics
from sentiment.store import Store
from trainer.candidate import Candidate, write_version
from trainer.compare import DATA, Scoring, gather
from trainer.evidence import Evidence
from trainer.gate import Verdict, judge
from trainer.report import FitFacts, ReportInput, write_report
from trainer.request import RetrainRequest
from trainer.retrain_data import RetrainData
from trainer.run_row import RunRow

REPORT = "report.html"


@dataclass(frozen=True)
class Judged:
    """What the gate says of a candidate, and what it looked at."""

    evidence: Evidence
    verdict: Verdict
    active: VersionRow | None
    """With which version it was compared."""

    @property
    def usable(self) -> bool:
        """Whether it can be a version at all."""
        return not self.evidence.defects


def judge_candidate(
    candidate: Candidate,
    data: RetrainData,
    active: VersionRow | None,
    documents: Sequence[SampledDocument],
    store: Store,
    scoring: Scoring,
    row: RunRow,
) -> Judged:
    """Compare a candidate with the active version, on test rows and stored documents.

    Raises:
        NifosError: as `gather`.
        RunLost: nobody wants it any more.
    """
    row.tell("comparing")

    def tell(which: str, done: int, total: int) -> None:
        row.tell_part("comparing", done + (total if which == "active" else 0), 2 * total)

    evidence = gather(
        candidate.directory,
        active,
        store,
        texts=data.texts("test"),
        label_ids=data.label_ids("test"),
        documents=documents,
        initial_head=candidate.initial_head,
        scoring=scoring,
        on_progress=tell,
    )
    return Judged(evidence, judge(evidence), active)


def write_judged(
    judged: Judged,
    candidate: Candidate,
    data: RetrainData,
    request: RetrainRequest,
    target: Path,
    *,
    requested_by: str,
    made_at: datetime,
) -> dict[str, Any]:
    """Write the version as it is published: with its measures and its page.

    Returns:
        Its metrics.
    """
    measured = measure(judged, candidate)
    page = target.parent / REPORT
    write_report(_facts(judged, candidate, data, request, target.name, requested_by, made_at), page)
    training = {
        "base": candidate.base,
        "request": request.model_dump(),
        DATA: data.summary(),
        "fit": candidate.fitted.summary(),
        "padding_ratio": request.padding_ratio,
        "seconds": {part: round(value, 1) for part, value in candidate.durations_s.items()},
        "torch": torch.__version__,
        "verdict": judged.verdict.as_json(),
    }
    write_version(candidate.directory, target, page=page, metrics=measured, training=training)
    return measured


def write_page_alone(
    judged: Judged,
    candidate: Candidate,
    data: RetrainData,
    request: RetrainRequest,
    page: Path,
    *,
    run: int,
    requested_by: str,
    made_at: datetime,
) -> None:
    """Write the page of a candidate that is no version, so that a person sees what went wrong.

    Raises:
        OSError: the disk refuses.
    """
    name = f"재학습 {run} (버전 없음)"
    write_report(_facts(judged, candidate, data, request, name, requested_by, made_at), page)


def measure(judged: Judged, candidate: Candidate) -> dict[str, Any]:
    """What is kept of a version: measured on the test rows, calibration on the validation rows."""
    held_out = judged.evidence.held_out
    said = held_out.candidate_probabilities
    assert said is not None  # noqa: S101 - what has no defect has them
    calibration = candidate.calibration
    return metrics.summarize(held_out.truth, said) | {
        "validation_calibration_error": candidate.calibration_errors(),
        "temperature": 1.0 if calibration is None else round(calibration.temperature, 4),
    }


def _facts(
    judged: Judged,
    candidate: Candidate,
    data: RetrainData,
    request: RetrainRequest,
    version: str,
    requested_by: str,
    made_at: datetime,
) -> ReportInput:
    fitted = candidate.fitted
    settings = request.model_dump(exclude={"data", "base", "label_map"})
    return ReportInput(
        version=version,
        base=candidate.base,
        made_at=made_at,
        requested_by=requested_by,
        passed=judged.verdict.passed,
        class_counts=data.class_counts(),
        reasons=judged.verdict.reasons_ko,
        notes=judged.verdict.notes_ko,
        servable=judged.usable,
        active_version=None if judged.active is None else judged.active.name,
        merged=data.corpus.merged,
        ties=data.corpus.ties,
        annotations=data.annotations,
        held_out=judged.evidence.held_out if judged.usable else None,
        fit=FitFacts(fitted.history, fitted.best_step, fitted.stopped_step, fitted.resumed),
        calibration=candidate.calibration,
        sample=judged.evidence.sample if judged.usable else None,
        token_lengths=candidate.token_lengths,
        padding_length=candidate.padding_length,
        settings=settings,
        durations_s=candidate.durations_s,
    )
