"""When a fit records its training loss and accuracy, and what it tells of them. No model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from trainer.batches import GroupedOrder
from trainer.flow import GPU_RECORD_STEPS, FitProgress, Flow, Report


def _recorded(steps: int, evaluations: int, record_steps: int) -> list[int]:
    """The steps of one epoch after which something is recorded."""
    flow = Flow(GroupedOrder(np.ones(8, np.int64), 2, 0), steps, evaluations, record_steps)
    state, found = TrainerState(max_steps=10 * steps), []
    for step in range(1, steps + 1):
        state.global_step, control = step, TrainerControl()
        flow.on_step_end(None, state, control)
        if control.should_log:
            found.append(step)
    return found


@pytest.mark.parametrize(
    ("steps", "record_steps", "first", "records"),
    [
        (4_640, GPU_RECORD_STEPS, 24, 194),  # 593,650 rows in batches of 128; the end is due
        (79, 1, 1, 79),
        (79, GPU_RECORD_STEPS, 5, 16),
        (3, GPU_RECORD_STEPS, 3, 1),
    ],
)
def test_an_epoch_has_two_hundred_records_at_most_and_its_end_is_one(
    steps: int, record_steps: int, first: int, records: int
) -> None:
    recorded = _recorded(steps, 1, record_steps)
    assert (recorded[0], recorded[-1], len(recorded)) == (first, steps, records)


def test_a_step_that_is_evaluated_is_recorded_too() -> None:
    assert {1_111, 2_222, 3_333}.issubset(_recorded(3_333, 3, 1))


def test_what_is_told_is_the_newest_of_each_kind(tmp_path: Path) -> None:
    told: list[FitProgress] = []
    report = Report(told.append, 2.0)
    state = TrainerState(global_step=1, max_steps=4, epoch=0.5)
    control, arguments = TrainerControl(), TrainingArguments(output_dir=str(tmp_path))
    for records in (
        [{"step": 1, "epoch": 0.5, "loss": 0.9, "accuracy": 0.4}],
        [
            {"step": 2, "epoch": 1.0, "loss": float("nan"), "accuracy": 0.6},
            {"step": 2, "epoch": 1.0, "eval_loss": 0.7, "eval_macro_f1": 0.5},
        ],
    ):
        state.log_history += records
        report.on_log(arguments, state, control)
    assert told[0].metrics == {"loss": 0.9, "accuracy": 0.4}
    assert told[1].metrics == {"loss": 0.9, "accuracy": 0.6, "eval_loss": 0.7, "macro_f1": 0.5}
