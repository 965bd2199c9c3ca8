"""What the page of a run is made of: plain values. It knows of no model, no store, no HTML.

Whatever cannot be measured is None (or empty), never a stand-in: the page then says that it is
missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Probabilities = NDArray[np.float64]


class SourceShares(Protocol):
    """One source of the sample: label name -> documents, by either version. A `SourceShift`."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def documents(self) -> int: ...  # noqa: D102
    @property
    def before(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def after(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def psi(self) -> float: ...  # noqa: D102


class ChangedText(Protocol):
    """A stored text whose label changes; label names, English. The gate's `Flip`."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def before(self) -> str: ...  # noqa: D102
    @property
    def after(self) -> str: ...  # noqa: D102
    @property
    def confidence(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class HeldOutLabels:
    """What both versions say of the same test rows: int64 [rows] label ids."""

    truth: Ids
    candidate: Ids
    active: Ids | None = None
    """None where there is no active version."""


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
    """Which rows they are, in Korean: 검증 or 평가."""


@dataclass(frozen=True)
class SampleFacts:
    """What both versions say of a fixed sample of stored documents."""

    documents: int
    sources: Sequence[SourceShares]
    flips: NDArray[np.int64]
    """int64 [3, 3]: documents by label before and after."""
    top_flips: Sequence[ChangedText] = ()
    """Most confident first."""


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
    reasons: Sequence[object] = ()
    """Why it is blocked: the gate's sentences (`.ko` where they have one) or plain words."""
    notes: Sequence[object] = ()
    """What could not be judged, likewise."""
    active_version: str | None = None
    """Whom it is compared with."""
    merged: int = 0
    """Rows that repeated a text."""
    ties: int = 0
    """Texts left out because their labels contradict each other."""
    annotations: int = 0
    """Rows of the corpus that people labelled in the database."""
    held_out: HeldOutLabels | None = None
    fit: FitFacts | None = None
    calibration: CalibrationFacts | None = None
    sample: SampleFacts | None = None
    token_lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """int64 [texts], special tokens included."""
    padding_length: int = 0
    """Tokens."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Name -> value, as they are to be read: learning_rate, epochs, seed, …"""
    durations_s: Mapping[str, float] = field(default_factory=dict)
    """Stage -> seconds, in order: data, fit, evaluation, …"""
