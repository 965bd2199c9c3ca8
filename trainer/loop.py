"""The library's Trainer, mended where it falls short of this fit.

The loss is to the labels, or to a teacher's targets where there are some. It is weighted by class
and normalised over the whole batch; a batch that the memory does not hold is computed in pieces;
evaluation counts texts, not windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import EvalPrediction

from core.errors import DeviceError
from sentiment.labels import LABELS
from trainer.batches import Windows, longest_first
from trainer.checkpointed import CheckpointedTrainer
from trainer.checkpoints import Checkpoints
from trainer.encoding import Encoded
from trainer.measure import TextMeasure


class FitTrainer(CheckpointedTrainer):
    """Fits windows, evaluates texts.

    Args:
        checkpoints: where they go.
        train: the windows to learn from.
        validation: the windows of the texts to evaluate.
        class_weights: of the loss, in the order of the label ids; None: all the same.
        label_smoothing: of the training loss.
        others: the library's arguments.
    """

    def __init__(
        self,
        *,
        checkpoints: Checkpoints,
        train: Encoded,
        validation: Encoded,
        class_weights: tuple[float, ...] | None,
        label_smoothing: float,
        **others: Any,
    ) -> None:
        self.piece_rows: int = others["args"].per_device_train_batch_size
        """Rows that are computed at once; fewer than a batch where the memory was too small."""
        self._evaluated = longest_first(validation.lengths())
        self._measure = TextMeasure(validation, class_weights)
        self._class_weights = torch.tensor(class_weights or [1.0] * len(LABELS))
        self._label_smoothing = label_smoothing
        self._right: Tensor | int = 0
        self._seen = 0
        super().__init__(
            checkpoints=checkpoints,
            train=train,
            pad_id=int(others["model"].config.pad_token_id or 0),
            eval_dataset=Windows(validation),
            compute_metrics=self._measure_texts,
            **others,
        )
        # `compute_loss` divides by the whole batch's weight: the library must not divide again.
        self.loss_is_scaled_for_ga = True
        self._class_weights = self._class_weights.to(self.args.device)

    def _get_eval_sampler(self, _dataset: Any) -> Any:
        return self._evaluated.tolist()

    def compute_loss(  # type: ignore[no-untyped-def]
        self, model, inputs, return_outputs=False, num_items_in_batch=None
    ):
        """Cross entropy weighted by class, divided by the weight of the whole batch's rows."""
        labels = inputs["labels"]
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        self._right = self._right + (outputs.logits.argmax(dim=1) == labels).sum()
        self._seen += len(labels)
        loss = torch.nn.functional.cross_entropy(
            outputs.logits.float(),
            inputs.get("targets", labels),
            weight=self._class_weights,
            label_smoothing=self._label_smoothing,
            reduction="sum",
        )
        loss = loss / num_items_in_batch
        return (loss, outputs) if return_outputs else loss

    def training_step(  # type: ignore[no-untyped-def]
        self, model, inputs, _num_items_in_batch=None
    ):
        """Accumulate the gradient of one batch, in pieces if the memory is too small for it whole.

        Raises:
            DeviceError: it does not hold a single row.
        """
        inputs = self._prepare_inputs(inputs)
        total = self._weight(inputs)
        step = super().training_step
        before = self._right, self._seen
        while True:
            losses = self._in_pieces(inputs, lambda piece: step(model, piece, total))
            if losses is not None:
                return torch.stack(losses).sum()
            # What a broken piece has added to the gradient is unknown: begin the batch anew.
            model.zero_grad()
            self._right, self._seen = before
            self._halve(len(inputs["labels"]))

    def _weight(self, inputs: dict[str, Tensor]) -> Tensor:
        if "targets" in inputs:
            return (inputs["targets"] * self._class_weights).sum()
        return self._class_weights[inputs["labels"]].sum()

    def prediction_step(self, *given: Any, **_others: Any) -> Any:
        """Logits of one batch, in pieces if the memory is too small. The loss is measured later."""
        model, inputs = given[0], self._prepare_inputs(given[1])
        while True:
            logits = self._in_pieces(inputs, lambda piece: _logits(model, piece))
            if logits is not None:
                return None, torch.cat(logits), inputs["labels"]
            self._halve(len(inputs["labels"]))

    def _in_pieces(
        self, inputs: dict[str, Tensor], compute: Callable[[dict[str, Tensor]], Tensor]
    ) -> list[Tensor] | None:
        try:
            return [compute(piece) for piece in _pieces(inputs, self.piece_rows)]
        except torch.OutOfMemoryError:
            # Only the answer leaves: the error itself holds on to every tensor of the piece.
            return None

    def _halve(self, rows: int) -> None:
        if min(self.piece_rows, rows) <= 1:
            raise DeviceError(
                f"the memory of {self.args.device} does not hold one text of this model: free it,"
                " take a smaller base, or train on another device (NIFOS_TRAINER_DEVICE)"
            )
        self.piece_rows = -(-min(self.piece_rows, rows) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _measure_texts(self, evaluated: EvalPrediction) -> dict[str, float]:
        logits = np.empty_like(evaluated.predictions, dtype=np.float64)
        logits[self._evaluated] = evaluated.predictions
        return self._measure(logits)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep the training accuracy since the last record beside the training loss."""
        if "loss" in logs and self._seen:
            logs["accuracy"] = float(self._right) / self._seen
            self._right, self._seen = 0, 0
        super().log(logs, start_time)


def _logits(model: Any, piece: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(
            input_ids=piece["input_ids"], attention_mask=piece["attention_mask"]
        ).logits
    return logits.detach().float()


def _pieces(inputs: dict[str, Tensor], rows: int) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(inputs["labels"]), rows):
        yield {name: value[start : start + rows] for name, value in inputs.items()}
