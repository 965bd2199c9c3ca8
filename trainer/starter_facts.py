"""What the starter's card and page say of how it was made."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from sentiment.metrics import Ids
from trainer.fit import FitResult
from trainer.new_model import PADDING_LENGTH
from trainer.report_input import CalibrationFacts, FitFacts, ReportInput
from trainer.retrain_data import RetrainData


def training_facts(
    rows: RetrainData,
    result: FitResult,
    calibration: CalibrationFacts,
    settings: Mapping[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """What the manifest keeps of the training."""
    return {
        "rows": len(rows.split.train),
        "validation_rows": len(rows.split.validation),
        "classes": rows.corpus.class_counts(),
        "settings": dict(settings),
        "temperature": round(calibration.temperature, 3),
        "best_step": result.best_step,
        "stopped_step": result.stopped_step,
        "validation_macro_f1": round(result.best_macro_f1, 4),
        "minutes": round(seconds / 60, 1),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }


def page_facts(
    name: str,
    rows: RetrainData,
    lengths: Ids,
    result: FitResult,
    calibration: CalibrationFacts,
    settings: Mapping[str, Any],
) -> ReportInput:
    """What the page is made of; nobody has judged the starter."""
    return ReportInput(
        version=name,
        base="random weights",
        made_at=datetime.now(UTC),
        requested_by="trainer.starter",
        passed=None,
        class_counts=rows.class_counts(),
        merged=rows.corpus.merged,
        ties=rows.corpus.ties,
        fit=FitFacts(result.history, result.best_step, result.stopped_step, result.resumed),
        calibration=calibration,
        token_lengths=lengths,
        padding_length=PADDING_LENGTH,
        settings=settings,
    )
