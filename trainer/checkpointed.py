"""The library's Trainer with checkpoints written aside, in an order of rows that can be taken up.

What a fit and a pre-training have in common. It knows no loss and no measure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from transformers import DefaultFlowCallback, PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_callback import ExportableState

from sentiment.device import has_bf16
from trainer.batches import GroupedOrder, Windows, collate
from trainer.checkpoints import STATE, WEIGHTS, Checkpoints
from trainer.encoding import Encoded

MAX_GRADIENT_NORM = 1.0


class CheckpointedTrainer(Trainer):
    """Goes over windows in a seeded order; a callback of its own decides when it saves.

    Args:
        checkpoints: where they go.
        train: the windows to learn from.
        pad_id: of the model's tokenizer.
        others: the library's arguments.
    """

    def __init__(
        self, *, checkpoints: Checkpoints, train: Encoded, pad_id: int, **others: Any
    ) -> None:
        args: TrainingArguments = others["args"]
        self.order = GroupedOrder(train.lengths(), args.per_device_train_batch_size, args.seed)
        self._checkpoints = checkpoints
        super().__init__(
            train_dataset=Windows(train),
            data_collator=lambda rows: collate(rows, pad_id),
            **others,
        )
        # The library's own would save in its rhythm, and print to the command's standard output.
        for unwanted in (DefaultFlowCallback, PrinterCallback):
            self.pop_callback(unwanted)

    def _get_train_sampler(self, _dataset: Any = None) -> Any:
        return self.order

    def _save_checkpoint(self, _model: Any, _trial: Any) -> None:
        state, model = self.state, cast(torch.nn.Module, self.model)
        best = state.best_global_step
        if best:
            state.best_model_checkpoint = str(self._checkpoints.path(best))
        kept_states: Any = state.stateful_callbacks  # typed as what it is before a fit begins
        for kept in (*self.callback_handler.callbacks, self.control):
            if isinstance(kept, ExportableState):
                kept_states[type(kept).__name__] = kept.state()
        with self._checkpoints.written(state.global_step) as aside:
            weights = {name: value.contiguous() for name, value in model.state_dict().items()}
            save_file(weights, aside / WEIGHTS, metadata={"format": "pt"})
            self._save_optimizer_and_scheduler(str(aside))
            self._save_scaler(str(aside))
            self._save_rng_state(str(aside))
            state.save_to_json(str(aside / STATE))
        self._checkpoints.keep(state.global_step, best or state.global_step)

    def floating_point_ops(self, _inputs: Any) -> int:
        """Nothing: the library counts parameters at every step for it."""
        return 0


def training_arguments(
    directory: Path, device: torch.device, *, seed: int, **others: Any
) -> TrainingArguments:
    """The library's arguments that every training here shares.

    Args:
        directory: of the checkpoints.
        device: where it trains.
        seed: of everything random.
        others: what this training adds.
    """
    bf16 = has_bf16(device)
    arguments = TrainingArguments(
        output_dir=str(directory),
        max_grad_norm=MAX_GRADIENT_NORM,
        bf16=bf16,
        fp16=device.type == "cuda" and not bf16,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type == "cuda",
        logging_nan_inf_filter=False,  # it waits for the GPU at every step
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=seed,
        data_seed=seed,
        **others,
    )
    if device.type == "cuda":
        # The library takes every GPU that it sees, or the first; the setting names one.
        torch.cuda.set_device(device)
        arguments.__dict__["_setup_devices"] = device
        arguments._n_gpu = 1
    return arguments


def fast_attention(device: torch.device) -> str:
    """What trains faster at the lengths of posts and reviews: sdpa on a GPU, eager on a CPU."""
    return "eager" if device.type == "cpu" else "sdpa"
