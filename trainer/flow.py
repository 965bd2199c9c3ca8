"""When a fit logs, evaluates and saves, and what it tells while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from trainer.batches import GroupedOrder

RECORDS_PER_EPOCH = 200  # of the training loss and accuracy: as many as a picture shows
# Both are summed on the device; a record reads them, for which the host waits until it is done.
GPU_RECORD_STEPS = 5
# A checkpoint between two evaluations, where these are hours apart; it costs a second or two.
CHECKPOINT_EVERY_S = 600.0
_KEPT = ("loss", "accuracy", "learning_rate", "eval_loss", "eval_accuracy", "eval_macro_f1")
_SHOWN = {"eval_macro_f1": "macro_f1"}


@dataclass(frozen=True)
class FitProgress:
    """How far a fit has come."""

    epoch: float
    """Passes over the rows that are done."""
    epochs: float
    """Passes at most."""
    step: int
    steps: int
    metrics: dict[str, float]
    """The newest of `loss` and `accuracy` (training), `learning_rate`, `eval_loss`,
    `eval_accuracy` and `macro_f1` (validation), as far as they are known. All finite."""


OnProgress = Callable[[FitProgress], None]


class Flow(TrainerCallback):
    """Evaluates so many times an epoch, its end included: the library counts whole steps alone.

    Args:
        order: of the rows, which is told of each epoch.
        steps_per_epoch: of the fit.
        evaluations_per_epoch: at equal distances.
        record_steps: steps from one record to the next, at least.
    """

    def __init__(
        self,
        order: GroupedOrder,
        steps_per_epoch: int,
        evaluations_per_epoch: int,
        record_steps: int = 1,
    ) -> None:
        self._order = order
        self._steps = steps_per_epoch
        self._evaluations = min(evaluations_per_epoch, steps_per_epoch)
        self._log_every = max(record_steps, -(-self._steps // RECORDS_PER_EPOCH))
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, *events: Any, **_others: Any) -> None:
        """Choose the epoch's order."""
        state: TrainerState = events[1]
        self._order.epoch = int(state.epoch or 0)

    def on_step_end(self, *events: Any, **_others: Any) -> None:
        """Decide what is due."""
        state: TrainerState = events[1]
        control: TrainerControl = events[2]
        step = state.global_step
        last = step >= state.max_steps
        due = last or self._evaluations_until(step) > self._evaluations_until(step - 1)
        control.should_log = due or step % self._log_every == 0
        control.should_evaluate = due
        control.should_save = due or time.monotonic() - self._saved_at > CHECKPOINT_EVERY_S
        control.should_training_stop |= last

    def on_save(self, *_events: Any, **_others: Any) -> None:
        """Remember when."""
        self._saved_at = time.monotonic()

    def _evaluations_until(self, step: int) -> int:
        return step * self._evaluations // self._steps


class Report(TrainerCallback):
    """Tells of every record. What the listener raises ends the fit."""

    def __init__(self, on_progress: OnProgress, epochs: float) -> None:
        self._on_progress = on_progress
        self._epochs = epochs
        self._read = 0  # records, of which there may be thousands
        self._known: dict[str, float] = {}

    def on_log(self, *events: Any, **_others: Any) -> None:
        """Tell what is known by now."""
        state: TrainerState = events[1]
        for record in clean_history(state.log_history[self._read :]):
            self._known |= {_SHOWN.get(key, key): record[key] for key in _KEPT if key in record}
        self._read = len(state.log_history)
        self._on_progress(
            FitProgress(
                float(state.epoch or 0),
                self._epochs,
                state.global_step,
                state.max_steps,
                dict(self._known),
            )
        )


def clean_history(records: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """The records that say something of the fit, without values that JSON does not know."""
    kept = []
    for record in records:
        known = {key: record[key] for key in _KEPT if math.isfinite(record.get(key, math.nan))}
        if known:
            kept.append({"step": record["step"], "epoch": record["epoch"], **known})
    return kept
