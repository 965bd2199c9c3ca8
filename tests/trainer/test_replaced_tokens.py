"""The pre-training task itself, on a tiny model."""

from __future__ import annotations

import torch
from transformers import ElectraForPreTraining

from tests.tiny_version import TEXTS
from trainer.replaced_tokens import ReplacedTokens, sample_words
from trainer.shape import Shape, make_discriminator
from trainer.vocabulary import MASK, SPECIAL_TOKENS, train_vocabulary


def _task(layers: int = 1) -> ReplacedTokens:
    tokenizer = train_vocabulary(TEXTS * 3, 300)
    torch.manual_seed(0)
    discriminator = make_discriminator(tokenizer, 16, Shape(layers, 32, 2))
    assert isinstance(discriminator, ElectraForPreTraining)
    return ReplacedTokens(
        discriminator,
        mask_id=tokenizer.token_to_id(MASK),
        special_ids=[tokenizer.token_to_id(token) for token in SPECIAL_TOKENS],
    )


def test_words_are_sampled_by_their_probability() -> None:
    torch.manual_seed(0)
    logits = (torch.randn(1, 300) * 2).repeat(100_000, 1)
    drawn = torch.bincount(sample_words(logits), minlength=300) / len(logits)
    assert (drawn - logits[0].softmax(-1)).abs().max() < 0.006


def test_a_certain_word_is_always_drawn_wherever_it_stands() -> None:
    for word in (0, 127, 128, 299):
        logits = torch.full((50, 300), -50.0)
        logits[:, word] = 50.0
        assert sample_words(logits).tolist() == [word] * 50


def test_special_and_padded_tokens_are_never_replaced() -> None:
    task = _task()
    special = task.special_ids.tolist()
    rows = torch.tensor([[special[2], 9, 10, 11, 12, special[3], special[0], special[0]]] * 64)
    mask = (rows != special[0]).long()
    seen: list[torch.Tensor] = []
    forward = task.discriminator.forward

    def listen(*, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
        seen.append(input_ids)
        return forward(input_ids=input_ids, attention_mask=attention_mask)

    task.discriminator.forward = listen  # type: ignore[method-assign, assignment]
    task(rows, mask)
    changed = (seen[0] != rows).nonzero()[:, 1].tolist()
    assert changed
    assert set(changed) <= {1, 2, 3, 4}


def test_guessing_and_telling_teach_the_layers_that_they_have_in_common() -> None:
    task = _task(layers=4)
    rows = torch.randint(5, 40, (32, 12))
    losses = task(rows, torch.ones_like(rows))
    losses["loss"].backward()
    assert [name for name, weights in task.named_parameters() if weights.grad is None] == []
    task.zero_grad()
    masked = torch.full_like(rows, task.mask_id)
    chosen = torch.ones_like(rows).bool()
    task._guess(masked, torch.ones_like(rows), chosen).sum().backward()
    touched = {
        int(name.split(".")[4])
        for name, weights in task.named_parameters()
        if ".layer." in name and weights.grad is not None and weights.grad.any()
    }
    assert touched == {0, 1}


def test_a_checkpoint_stores_each_weight_once() -> None:
    weights = list(_task().state_dict().values())
    assert len({value.data_ptr() for value in weights}) == len(weights)


def test_a_batch_in_which_nothing_was_chosen_has_a_loss_of_zero_from_the_generator() -> None:
    task = _task()
    special = task.special_ids.tolist()
    rows = torch.tensor([[special[2], special[3]]])
    losses = task(rows, torch.ones_like(rows))
    assert all(torch.isfinite(value) for value in losses.values())
