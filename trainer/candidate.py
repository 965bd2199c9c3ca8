"""From rows to a candidate: fitted, its temperature set, written as a version, not yet judged."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError, ModelError, StoreError
from sentiment import metrics
from sentiment.store import Store, save_version, verify
from trainer.base import Base, load_base
from trainer.calibration import apply_temperature, fit_temperature
from trainer.class_weights import resolve_class_weights
from trainer.compare import Scoring, score_version
from trainer.encoding import encode, token_lengths
from trainer.fit import FitResult, FitSettings, train_with_early_stopping
from trainer.head import head_digest
from trainer.padding import bounded_padding_length
from trainer.publish import CARD, publish
from trainer.report import CalibrationFacts
from trainer.request import RetrainRequest
from trainer.retrain_data import RetrainData
from trainer.run_row import RunRow

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """What a fit came to, without its model."""

    history: list[dict[str, Any]]
    best_step: int
    best_epoch: float
    best_macro_f1: float
    stopped_step: int
    stopped_epoch: float
    resumed: int

    @classmethod
    def of(cls, result: FitResult) -> Fitted:
        """Let the model go."""
        return cls(**{name: getattr(result, name) for name in cls.__dataclass_fields__})

    def summary(self) -> dict[str, Any]:
        """All but the history."""
        known = {key: value for key, value in self.__dict__.items() if key != "history"}
        return known | {"records": len(self.history)}


@dataclass(frozen=True)
class Candidate:
    """A version that nobody has judged: its directory, and how it came to be."""

    directory: Path
    base: str
    initial_head: str | None
    """See `trainer.head.is_head_new`."""
    fitted: Fitted
    padding_length: int
    token_lengths: NDArray[np.int64]
    """int64 [training texts]."""
    calibration: CalibrationFacts | None = None
    """None where it cannot be loaded."""
    durations_s: dict[str, float] = field(default_factory=dict)

    def calibration_errors(self) -> dict[str, float]:
        """Expected calibration error on the validation rows, before and after."""
        facts = self.calibration
        if facts is None:
            return {}
        return {
            side: round(metrics.calibration_error(facts.truth, probabilities), 4)
            for side, probabilities in (("before", facts.before), ("after", facts.after))
        }


class Stopwatch:
    """How long each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add the time within to a part."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - started


def make_candidate(
    request: RetrainRequest,
    data: RetrainData,
    store: Store,
    workdir: Path,
    row: RunRow,
    scoring: Scoring,
    checksums: Mapping[str, str] | None,
) -> Candidate:
    """Fit, or go on with a fit that was interrupted, and calibrate.

    Args:
        request: how.
        data: on what.
        store: where the base may be.
        workdir: of the run; the candidate is in it.
        row: is told how far it is.
        scoring: the device.
        checksums: of the base, where it is a registered version.

    Raises:
        NifosError: as `load_base` and `train_with_early_stopping`.
        RunLost: nobody wants it any more.
    """
    watch = Stopwatch()
    with watch.measure("fit"):
        row.tell("loading the base")
        base = load_base(request.base, store, seed=request.seed, checksums=checksums)
        raw = _fit(request, data, base, workdir, row, scoring.device)
    del base  # its memory is needed to score
    row.tell("calibrating", fit=raw.fitted.summary())
    with watch.measure("calibration"):
        calibration = _calibrate(raw.directory, data, scoring, row)
        temperature = 1.0 if calibration is None else calibration.temperature
        calibrated = write_version(raw.directory, workdir / "calibrated", temperature=temperature)
    return replace(raw, directory=calibrated, calibration=calibration, durations_s=watch.seconds)


def write_version(
    source: Path,
    target: Path,
    *,
    page: Path | None = None,
    card: str | None = None,
    **changes: Any,
) -> Path:
    """Write a version again with another manifest, and with a page and a card.

    Args:
        source: a version's directory.
        target: to be made anew, beside it or elsewhere on its disk.
        page: an HTML file that becomes part of it as `report.html`.
        card: Markdown for people, as `README.md`.
        changes: fields of the manifest.
    """
    manifest = verify(source)
    shutil.rmtree(target, ignore_errors=True)
    aside = target.with_name(f".{target.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in manifest.files:
        shutil.copyfile(source / name, aside / name)
    if page is not None:
        shutil.copyfile(page, aside / "report.html")
    if card is not None:
        (aside / CARD).write_text(card, encoding="utf-8")
    changed = manifest.model_copy(update={"files": {}, "name": target.name, **changes})
    save_version(aside, target, changed)
    return target


def _fit(
    request: RetrainRequest,
    data: RetrainData,
    base: Base,
    workdir: Path,
    row: RunRow,
    device: str,
) -> Candidate:
    """Fit and write what came of it as a version, at temperature 1."""
    row.tell("encoding")
    initial_head = head_digest(base.model.state_dict()) if base.new_head else None
    lengths = token_lengths(base.tokenizer, data.texts("train"))
    padding_length = bounded_padding_length(
        lengths, request.padding_ratio, positions=base.max_padding_length
    )
    train, validation = (
        encode(base.tokenizer, data.texts(side), data.label_ids(side), padding_length)
        for side in ("train", "validation")
    )
    row.tell("fitting", padding_length=padding_length)
    result = train_with_early_stopping(
        base.model,
        train,
        validation,
        fit_settings(request, data),
        workdir,
        device=device,
        on_progress=row.tell_fit,
    )
    raw = workdir / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    publish(
        result.model,
        base.tokenizer,
        raw,
        padding_length=padding_length,
        metrics={},
        training={},
    )
    return Candidate(raw, base.name, initial_head, Fitted.of(result), padding_length, lengths)


def fit_settings(request: RetrainRequest, data: RetrainData) -> FitSettings:
    """How a request is fitted."""
    return FitSettings(
        learning_rate=request.learning_rate,
        epochs=request.epochs,
        batch_rows=request.batch_size,
        class_weights=resolve_class_weights(request.class_weights, data.label_ids("train")),
        label_smoothing=request.label_smoothing,
        seed=request.seed,
    )


def _calibrate(
    version: Path, data: RetrainData, scoring: Scoring, row: RunRow
) -> CalibrationFacts | None:
    """Fit the temperature on the validation rows. None where the version cannot be loaded."""
    texts, truth = data.texts("validation"), data.label_ids("validation")

    def tell(done: int) -> None:
        row.tell_part("calibrating", done, len(texts))

    try:
        before = score_version(version, texts, scoring, tell)
    except (DeviceError, StoreError):
        raise
    except ModelError:
        return None  # the gate says why
    temperature = fit_temperature(truth, before)
    return CalibrationFacts(temperature, truth, before, apply_temperature(before, temperature))
