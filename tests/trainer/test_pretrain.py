"""A real pre-training of a tiny Electra on texts in which some words always stand together."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import ElectraForPreTraining

from core.errors import InputError
from trainer.encoding import Ids, encode
from trainer.pretrain import SAVES, PretrainProgress, PretrainSettings, pretrain
from trainer.shape import Shape, make_discriminator
from trainer.vocabulary import train_vocabulary

PAIRS = (("바다", "파도"), ("산길", "나무"), ("부엌", "냄비"), ("극장", "배우"))
PADDING_LENGTH = 16


class Killed(Exception):
    """The process is gone."""


def _texts(rows: int = 1_000) -> list[str]:
    draw = np.random.default_rng(0)
    texts = []
    for _ in range(rows):
        first, second = PAIRS[draw.integers(len(PAIRS))]
        texts.append(f"{first} {second} {first} {second} {draw.integers(10)}")
    return texts


@cache
def _tokenizer() -> Tokenizer:
    """Learned once: the library breaks ties by chance."""
    return train_vocabulary(_texts(), 200)


def _start() -> tuple[ElectraForPreTraining, Tokenizer, list[Ids]]:
    tokenizer = _tokenizer()
    torch.manual_seed(0)
    model = make_discriminator(tokenizer, PADDING_LENGTH, Shape(1, 32, 2))
    texts = _texts()
    unlabelled = np.zeros(len(texts), np.int64)
    return model, tokenizer, encode(tokenizer, texts, unlabelled, PADDING_LENGTH).input_ids


SETTINGS = PretrainSettings(passes=5, learning_rate=5e-3, batch_rows=32)


def _run(
    output: Path, stop_at: int | None = None
) -> tuple[dict[str, torch.Tensor], list[PretrainProgress]]:
    model, tokenizer, windows = _start()
    seen: list[PretrainProgress] = []

    def listen(progress: PretrainProgress) -> None:
        seen.append(progress)
        if stop_at is not None and progress.step >= stop_at:
            raise Killed

    with suppress(Killed):
        pretrain(model, tokenizer, windows, SETTINGS, output, device="cpu", on_progress=listen)
    return model.state_dict(), seen


def test_it_learns_which_words_were_replaced_and_goes_on_where_it_was_broken_off(
    tmp_path: Path,
) -> None:
    whole, seen = _run(tmp_path / "whole")
    assert seen[-1].step == seen[-1].steps
    assert seen[-1].generator_loss < seen[0].generator_loss - 1
    assert seen[-1].discriminator_loss < 0.9 * seen[0].discriminator_loss
    _, first = _run(tmp_path / "broken", stop_at=seen[len(seen) // 2].step)
    assert first == seen[: len(first)]
    resumed, rest = _run(tmp_path / "broken")
    # From its last checkpoint, as if nothing had happened: it was killed before it could save.
    save_every = seen[-1].steps // SAVES
    saved = (first[-1].step - 1) // save_every * save_every
    assert saved > 1
    assert rest == seen[saved:]
    for name, weights in whole.items():
        assert torch.equal(resumed[name], weights), name


def test_a_checkpoint_of_other_texts_is_not_used(tmp_path: Path) -> None:
    _run(tmp_path, stop_at=20)
    model, tokenizer, windows = _start()
    seen: list[int] = []
    pretrain(
        model,
        tokenizer,
        windows[: len(windows) // 2],
        PretrainSettings(passes=1, batch_rows=64),
        tmp_path,
        device="cpu",
        on_progress=lambda progress: seen.append(progress.step),
    )
    assert seen[0] == 1


@pytest.mark.parametrize("wrong", [{"passes": 0}, {"learning_rate": float("nan")}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="above 0"):
        PretrainSettings(**wrong)  # type: ignore[arg-type]
