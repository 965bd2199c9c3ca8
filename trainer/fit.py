"""Fit a classifier with early stopping: transformers' Trainer, set against its traps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    ElectraForSequenceClassification,
    EvalPrediction,
    Trainer,
    TrainingArguments,
)

from sentiment import metrics
from sentiment.device import choose_device, has_bf16
from trainer.encoding import Encoded

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class FitSettings:
    """How to fit. The defaults are those for a pre-trained base."""

    learning_rate: float = 5e-6
    epochs: float = 10
    batch_rows: int = 128
    evaluations_per_epoch: int = 1
    patience: int = 3
    """Evaluations without a better macro-F1 before it stops."""
    schedule: Literal["reduce_lr_on_plateau", "linear", "cosine"] = "reduce_lr_on_plateau"
    warmup_steps: int = 0
    weight_decay: float = 0.01
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class FitResult:
    """A fitted model with the weights of its best evaluation, and how it came to them."""

    model: ElectraForSequenceClassification
    best_step: int
    best_macro_f1: float
    stopped_step: int
    history: list[dict[str, Any]] = field(repr=False)


class _Windows(Dataset[Mapping[str, Any]]):
    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded.input_ids)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {
            "input_ids": self._encoded.input_ids[place],
            "labels": int(self._encoded.label_ids[place]),
        }


def collate(rows: list[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad rows to their longest: `input_ids` and `attention_mask` int64 [rows, tokens]."""
    longest = max(len(row["input_ids"]) for row in rows)
    input_ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        ids = row["input_ids"]
        input_ids[place, : len(ids)] = ids
        mask[place, : len(ids)] = 1
    return {
        "input_ids": torch.from_numpy(input_ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


class _WeightedTrainer(Trainer):
    """The library's Trainer with class weights in the loss."""

    class_weights: torch.Tensor | None = None
    label_smoothing = 0.0

    def compute_loss(  # type: ignore[no-untyped-def]
        self, model, inputs, return_outputs=False, num_items_in_batch=None
    ):
        """Cross entropy on the logits, weighted by class."""
        del num_items_in_batch  # the mean over the batch is what we want
        labels = inputs["labels"]
        outputs = model(**{key: value for key, value in inputs.items() if key != "labels"})
        weights = self.class_weights
        loss = torch.nn.functional.cross_entropy(
            outputs.logits.float(),
            labels,
            weight=None if weights is None else weights.to(outputs.logits.device),
            label_smoothing=self.label_smoothing if model.training else 0.0,
        )
        return (loss, outputs) if return_outputs else loss


def train_with_early_stopping(
    model: ElectraForSequenceClassification,
    train: Encoded,
    validation: Encoded,
    settings: FitSettings,
    output: Path,
) -> FitResult:
    """Fit, evaluate now and then, stop when macro-F1 no longer rises, restore the best weights.

    Args:
        model: changed in place.
        train: the windows to learn from.
        validation: the windows that decide when to stop and which weights stay.
        settings: see there.
        output: a directory for checkpoints.
    """
    pad_id = int(model.config.pad_token_id or 0)
    trainer = _WeightedTrainer(
        model=model,
        args=_arguments(settings, len(train.input_ids), output),
        data_collator=lambda rows: collate(rows, pad_id),
        train_dataset=_Windows(train),
        eval_dataset=_Windows(validation),
        compute_metrics=_measure,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=settings.patience)],
    )
    if settings.class_weights is not None:
        trainer.class_weights = torch.tensor(settings.class_weights)
    trainer.label_smoothing = settings.label_smoothing
    trainer.train()
    state = trainer.state
    return FitResult(
        model=model,
        best_step=int(state.best_global_step or state.global_step),
        best_macro_f1=float(state.best_metric or 0.0),
        stopped_step=state.global_step,
        history=[dict(record) for record in state.log_history],
    )


def _arguments(settings: FitSettings, rows: int, output: Path) -> TrainingArguments:
    device = choose_device("auto")
    steps_per_epoch = max(1, -(-rows // settings.batch_rows))
    every = max(1, steps_per_epoch // settings.evaluations_per_epoch)
    plateau = settings.schedule == "reduce_lr_on_plateau"
    return TrainingArguments(
        output_dir=str(output),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_rows,
        per_device_eval_batch_size=settings.batch_rows * 2,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        # The library's plateau waits ten evaluations for a smaller value; ours is to be larger,
        # and one evaluation without a gain is enough, before early stopping's three.
        lr_scheduler_kwargs={"mode": "max", "patience": 1, "factor": 0.5} if plateau else {},
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=MAX_GRADIENT_NORM,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        train_sampling_strategy="group_by_length",
        bf16=has_bf16(device),
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        logging_steps=max(1, every // 10),
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=settings.seed,
        data_seed=settings.seed,
    )


def _measure(evaluated: EvalPrediction) -> dict[str, float]:
    logits = (
        evaluated.predictions[0]
        if isinstance(evaluated.predictions, tuple)
        else (evaluated.predictions)
    )
    truth = np.asarray(evaluated.label_ids, dtype=np.int64)
    counts = metrics.confusion(truth, np.asarray(logits).argmax(axis=1))
    return {"macro_f1": metrics.macro_f1(counts), "accuracy": metrics.accuracy(counts)}
