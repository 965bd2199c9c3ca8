"""Pre-train an Electra on one's own texts, without labels, so that a fit has less to learn.

Krishna et al. 2022, "Downstream Datasets Make Surprisingly Good Pretraining Corpora": the very
texts of the task bring much of what a large corpus brings. It knows nothing of labels.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    ElectraForPreTraining,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from core.errors import InputError
from sentiment.device import choose_device
from trainer.checkpointed import CheckpointedTrainer, fast_attention, training_arguments
from trainer.checkpoints import Checkpoints
from trainer.encoding import Encoded, Ids
from trainer.replaced_tokens import ReplacedTokens
from trainer.vocabulary import MASK, PAD, special_ids

LOGS = 200
SAVES = 50  # of a whole pre-training, so that a crash costs a fiftieth of it


@dataclass(frozen=True)
class PretrainSettings:
    """How to pre-train. The defaults are those for a new model."""

    passes: float = 3.0
    """Over the texts."""
    learning_rate: float = 5e-4
    batch_rows: int = 64
    """Few: a small model gains more from many steps than from exact ones."""
    warmup_share: float = 0.04
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("passes", "learning_rate", "batch_rows"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name.replace('_', ' ')} {value}: it must be above 0")


@dataclass(frozen=True)
class PretrainProgress:
    """How far it has come, and the means since it last told."""

    step: int
    steps: int
    generator_loss: float
    discriminator_loss: float
    found: float
    """Share of the replaced tokens that were told."""


OnProgress = Callable[[PretrainProgress], None]


def pretrain(
    discriminator: ElectraForPreTraining,
    tokenizer: Tokenizer,
    windows: Sequence[Ids],
    settings: PretrainSettings,
    output: Path,
    *,
    start: str = "new",
    device: str = "auto",
    on_progress: OnProgress = lambda _: None,
) -> None:
    """Pre-train by replaced-token detection.

    Where the output holds a whole checkpoint of the same pre-training, it goes on from there.

    Args:
        discriminator: with random weights, or a base to adapt; changed in place.
        tokenizer: of the model.
        windows: token ids of each text, special ones included.
        settings: see there.
        output: a directory for checkpoints; the caller removes it.
        start: what the model begins with, such as a base's digest: another one goes on from no
            checkpoint of this one.
        device: as `sentiment.device.choose_device` reads it.
        on_progress: called `LOGS` times; an exception of it ends the pre-training, which can go on
            later.

    Raises:
        ModelError: no such device.
        StoreError: the disk is full; called again, it goes on.
    """
    chosen = choose_device(device)
    discriminator.set_attn_implementation(fast_attention(chosen))
    torch.manual_seed(settings.seed)  # of the generator's weights
    special = special_ids(tokenizer)
    model = ReplacedTokens(discriminator, mask_id=special[MASK], special_ids=list(special.values()))
    checkpoints = Checkpoints(output, _fingerprint(settings, start, discriminator, windows))
    newest = checkpoints.newest()
    steps = max(1, round(settings.passes * len(windows) / settings.batch_rows))
    unlabelled = np.zeros(len(windows), np.int64)
    trainer = _PretrainTrainer(
        model=model,
        args=_arguments(settings, steps, checkpoints.directory, chosen),
        checkpoints=checkpoints,
        train=Encoded(list(windows), unlabelled, np.arange(len(windows))),
        pad_id=special[PAD],
    )
    trainer.told = []
    trainer.add_callback(_Flow(trainer, steps, on_progress))
    trainer.train(resume_from_checkpoint=None if newest is None else str(newest[0]))
    # The library has wrapped `forward` in autocast, for good.
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    discriminator.eval().cpu()


class _PretrainTrainer(CheckpointedTrainer):
    """Keeps both losses to be told."""

    told: list[dict[str, torch.Tensor]]

    def compute_loss(  # type: ignore[no-untyped-def]
        self, model, inputs, return_outputs=False, num_items_in_batch=None
    ):
        """The sum of both losses; each is kept to be told."""
        del num_items_in_batch
        losses = model(inputs["input_ids"], inputs["attention_mask"])
        self.told.append({name: value.detach() for name, value in losses.items()})
        return (losses["loss"], losses) if return_outputs else losses["loss"]


class _Flow(TrainerCallback):
    """When to tell and when to save."""

    def __init__(self, trainer: _PretrainTrainer, steps: int, on_progress: OnProgress) -> None:
        self._trainer = trainer
        self._tell_every = max(1, steps // LOGS)
        self._save_every = max(1, steps // SAVES)
        self._on_progress = on_progress

    def on_epoch_begin(self, *events: Any, **_others: Any) -> None:
        """Choose the epoch's order."""
        state: TrainerState = events[1]
        self._trainer.order.epoch = int(state.epoch or 0)

    def on_step_end(self, *events: Any, **_others: Any) -> None:
        """Decide what is due."""
        state: TrainerState = events[1]
        control: TrainerControl = events[2]
        last = state.global_step >= state.max_steps
        control.should_save = last or state.global_step % self._save_every == 0
        control.should_training_stop |= last
        if last or state.global_step % self._tell_every == 0:
            self._tell(state)

    def _tell(self, state: TrainerState) -> None:
        told = self._trainer.told
        means = {name: float(torch.stack([t[name] for t in told]).mean()) for name in told[0]}
        told.clear()
        self._on_progress(
            PretrainProgress(
                state.global_step,
                state.max_steps,
                means["generator_loss"],
                means["discriminator_loss"],
                means["found"],
            )
        )


def _arguments(
    settings: PretrainSettings, steps: int, directory: Path, device: torch.device
) -> TrainingArguments:
    return training_arguments(
        directory,
        device,
        seed=settings.seed,
        max_steps=steps,
        per_device_train_batch_size=settings.batch_rows,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(settings.warmup_share * steps),
        weight_decay=settings.weight_decay,
    )


def _fingerprint(
    settings: PretrainSettings,
    start: str,
    model: ElectraForPreTraining,
    windows: Sequence[Ids],
) -> str:
    """What makes a pre-training this one.

    Not a new model's first weights: the last bit of word vectors depends on how many threads made
    them.
    """
    digest = hashlib.blake2b(digest_size=8)
    facts: Mapping[str, Any] = asdict(settings) | {
        "start": start,
        "shape": model.config.to_diff_dict(),
    }
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for ids in windows:
        digest.update(len(ids).to_bytes(4, "big"))
        digest.update(ids.tobytes())
    return digest.hexdigest()
