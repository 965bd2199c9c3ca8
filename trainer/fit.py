"""Fit a classifier with early stopping: transformers' Trainer, set against its traps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from transformers import (
    EarlyStoppingCallback,
    ElectraForSequenceClassification,
    TrainingArguments,
)

from core.errors import InputError
from sentiment.device import choose_device
from trainer.checkpointed import fast_attention, training_arguments
from trainer.checkpoints import WEIGHTS, Checkpoints, fingerprint
from trainer.encoding import Encoded
from trainer.flow import GPU_RECORD_STEPS, FitProgress, Flow, OnProgress, Report, clean_history
from trainer.loop import FitTrainer

__all__ = [
    "FitProgress",
    "FitResult",
    "FitSettings",
    "OnProgress",
    "train_with_early_stopping",
]


@dataclass(frozen=True)
class FitSettings:
    """How to fit. The defaults are those for a pre-trained base."""

    learning_rate: float = 5e-6
    epochs: float = 10
    batch_rows: int = 128
    """Rows of one step; how many of them are computed at once is found out."""
    evaluations_per_epoch: int = 1
    patience: int = 3
    """Evaluations without a better one before it stops."""
    best_by: Literal["macro_f1", "loss"] = "macro_f1"
    """What makes an evaluation the best: the highest macro-F1, or the lowest loss."""
    schedule: Literal["reduce_lr_on_plateau", "linear", "cosine"] = "reduce_lr_on_plateau"
    warmup_steps: int = 0
    """Not for the plateau schedule, which has none."""
    weight_decay: float = 0.01
    class_weights: tuple[float, ...] | None = None
    """By label id, as `trainer.class_weights.resolve_class_weights` gives them."""
    label_smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "batch_rows", "evaluations_per_epoch", "patience"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name.replace('_', ' ')} {value}: it must be above 0")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label smoothing {self.label_smoothing}: it must be within [0, 1)")


@dataclass(frozen=True)
class FitResult:
    """A fitted model with the weights of its best evaluation, and how it came to them."""

    model: ElectraForSequenceClassification
    best_step: int
    best_epoch: float
    best_macro_f1: float
    stopped_step: int
    stopped_epoch: float
    history: list[dict[str, Any]] = field(repr=False)
    """Records in the order of their steps: `step`, `epoch`, and `loss`, `accuracy` (both of
    training, since the record before), `learning_rate`, or `eval_loss`, `eval_accuracy`,
    `eval_macro_f1`."""
    resumed: int = 0
    """How often it went on after an interruption."""
    piece_rows: int = 0
    """Rows that were computed at once at the end."""


def train_with_early_stopping(
    model: ElectraForSequenceClassification,
    train: Encoded,
    validation: Encoded,
    settings: FitSettings,
    output: Path,
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> FitResult:
    """Fit, evaluate now and then, stop when it gets no better, restore the best weights.

    Where the output holds a whole checkpoint of the same fit, it goes on from there.

    Args:
        model: changed in place; on the CPU afterwards.
        train: the windows to learn from.
        validation: the windows of the texts that decide when to stop and which weights stay.
        settings: see there.
        output: a directory for checkpoints. It may hold other fits' too; the caller removes it.
        device: as `sentiment.device.choose_device` reads it.
        on_progress: called at every record and evaluation; its exception ends the fit, which can
            go on later.

    Raises:
        DeviceError: the device's memory does not hold a single text.
        ModelError: no such device.
        StoreError: the disk is full; called again, the fit goes on.
    """
    chosen = choose_device(device)
    model.set_attn_implementation(fast_attention(chosen))
    checkpoints = Checkpoints(output, fingerprint(settings, model, train, validation))
    newest = checkpoints.newest()
    if newest is not None and _is_finished(newest[1], settings):
        return _restored(model, checkpoints, newest[1])
    trainer = FitTrainer(
        model=model,
        args=_arguments(settings, checkpoints.directory, chosen),
        checkpoints=checkpoints,
        train=train,
        validation=validation,
        class_weights=settings.class_weights,
        label_smoothing=settings.label_smoothing,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=settings.patience)],
    )
    steps_per_epoch = -(-len(train.input_ids) // settings.batch_rows)
    record_steps = 1 if chosen.type == "cpu" else GPU_RECORD_STEPS
    trainer.add_callback(
        Flow(trainer.order, steps_per_epoch, settings.evaluations_per_epoch, record_steps)
    )
    if on_progress is not None:
        trainer.add_callback(Report(on_progress, settings.epochs))
    if newest is not None:
        checkpoints.count_resumption()
    trainer.train(resume_from_checkpoint=None if newest is None else str(newest[0]))
    # The library has wrapped `forward` in autocast, for good.
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    state = trainer.state
    return _result(
        model,
        {
            "global_step": state.global_step,
            "epoch": state.epoch,
            "best_global_step": state.best_global_step,
            "log_history": state.log_history,
        },
        resumed=checkpoints.resumed(),
        piece_rows=trainer.piece_rows,
    )


def _arguments(settings: FitSettings, directory: Path, device: torch.device) -> TrainingArguments:
    plateau = settings.schedule == "reduce_lr_on_plateau"
    rises = settings.best_by == "macro_f1"
    return training_arguments(
        directory,
        device,
        seed=settings.seed,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_rows,
        per_device_eval_batch_size=settings.batch_rows * 2,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        # The library's plateau waits ten evaluations for a smaller value; ours is mostly to be
        # larger, and one evaluation without a gain is enough, before early stopping's three.
        lr_scheduler_kwargs=(
            {"mode": "max" if rises else "min", "patience": 1, "factor": 0.5} if plateau else {}
        ),
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        # `Flow` decides when; these say that it happens.
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1,
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model=settings.best_by,
        greater_is_better=rises,
        # Else early stopping begins to count anew when a fit goes on.
        restore_callback_states_from_checkpoint=True,
    )


def _is_finished(state: Mapping[str, Any], settings: FitSettings) -> bool:
    stopping = state["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]
    waited = int(stopping["early_stopping_patience_counter"])
    return waited >= settings.patience or state["global_step"] >= state["max_steps"]


def _restored(
    model: ElectraForSequenceClassification, checkpoints: Checkpoints, state: Mapping[str, Any]
) -> FitResult:
    """The result of a fit that had ended when its process was killed."""
    model.load_state_dict(load_file(checkpoints.path(state["best_global_step"]) / WEIGHTS))
    return _result(model, state, resumed=checkpoints.resumed(), piece_rows=0)


def _result(
    model: ElectraForSequenceClassification,
    state: Mapping[str, Any],
    *,
    resumed: int,
    piece_rows: int,
) -> FitResult:
    history = clean_history(state["log_history"])
    best_step = int(state["best_global_step"] or state["global_step"])
    best = [record for record in history if record["step"] == best_step]
    scores = [record["eval_macro_f1"] for record in best if "eval_macro_f1" in record]
    model.eval().cpu()
    return FitResult(
        model=model,
        best_step=best_step,
        best_epoch=float(best[-1]["epoch"] if best else state["epoch"]),
        best_macro_f1=float(scores[-1] if scores else 0.0),
        stopped_step=int(state["global_step"]),
        stopped_epoch=float(state["epoch"]),
        history=history,
        resumed=resumed,
        piece_rows=piece_rows,
    )
