"""What the page of a run is made of: plain values. It knows of no model, no store, no HTML.

Whatever cannot be measured is None (or empty), never a stand-in: the page then says that it is
missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.metrics import Ids, Probabilities
from trainer.evidence import HeldOut, Sample


@dataclass(frozen=True)
class CalibrationFacts:
    """The temperature, and the probabilities of the rows that show what it does."""

    temperature: float
    truth: Ids
    """int64 [rows]."""
    before: Probabilities
    """float64 [rows, 3], at temperature 1."""
    after: Probabilities
    """float64 [rows, 3], at `temperature`."""
    rows_ko: str = "검증"
    """Which rows they are, in Korean: 검증 or 시험."""


@dataclass(frozen=True)
class FitFacts:
    """How the fit went."""

    history: Sequence[Mapping[str, Any]]
    """The library's records, as `plot_training_progress` takes them."""
    best_step: int
    stopped_step: int
    resumed: int = 0
    """How often it was taken up again after an interruption."""


@dataclass(frozen=True)
class ReportInput:
    """Everything that the page says."""

    version: str
    base: str
    made_at: datetime
    """With its zone; shown as Asia/Seoul."""
    requested_by: str
    passed: bool | None
    """The verdict; None: nobody judged (the starter)."""
    class_counts: Mapping[str, Mapping[str, int]]
    """train, validation, test -> label name -> texts."""
    reasons: Sequence[str] = ()
    """Why it is blocked: `Verdict.reasons_ko`."""
    notes: Sequence[str] = ()
    """What could not be judged: `Verdict.notes_ko`."""
    servable: bool = True
    """False: the candidate has a defect. There is no version of it, and no way to overrule that."""
    active_version: str | None = None
    """Whom it is compared with."""
    merged: int = 0
    """Rows that repeated a text."""
    ties: int = 0
    """Texts left out because their labels contradict each other."""
    annotations: int = 0
    """Rows of the corpus that people labelled in the database."""
    held_out: HeldOut | None = None
    fit: FitFacts | None = None
    calibration: CalibrationFacts | None = None
    sample: Sample | None = None
    token_lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """int64 [texts], special tokens included."""
    padding_length: int = 0
    """Tokens."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Name -> value, as they are to be read: learning_rate, epochs, seed, …"""
    durations_s: Mapping[str, float] = field(default_factory=dict)
    """Stage -> seconds, in order: data, fit, evaluation, …"""
