"""The loss over a whole batch, and batches that the memory does not hold."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ElectraForSequenceClassification

from core.errors import DeviceError
from tests.small_fit import SETTINGS, Parts, make_parts
from trainer.batches import GroupedOrder, Windows, collate
from trainer.checkpoints import Checkpoints
from trainer.encoding import Encoded
from trainer.fit import _arguments, train_with_early_stopping
from trainer.loop import FitTrainer
from trainer.measure import TextMeasure

WEIGHTS = (0.5, 3.0, 0.8)
SMOOTHING = 0.1


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("trainer.checkpointed.has_bf16", lambda device: False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _trainer(parts: Parts, directory: Path) -> FitTrainer:
    trainer = FitTrainer(
        model=parts.model,
        args=_arguments(SETTINGS, directory, torch.device("cpu")),
        checkpoints=Checkpoints(directory, "a"),
        train=parts.train,
        validation=parts.validation,
        class_weights=WEIGHTS,
        label_smoothing=SMOOTHING,
    )
    trainer.create_optimizer()
    return trainer


def _batch(parts: Parts, rows: int = 16) -> dict[str, torch.Tensor]:
    windows = Windows(parts.train)
    return collate([windows[place] for place in range(rows)], 0)


def _gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }


@contextmanager
def _memory_for(
    model: ElectraForSequenceClassification, rows: int, *, where: str
) -> Iterator[None]:
    """A model that runs out of memory over so many rows, on its way forth or back."""

    def fail(*_given: Any) -> None:
        raise torch.OutOfMemoryError("injected")

    def watch(_module: torch.nn.Module, _given: Any, output: torch.Tensor) -> None:
        if len(output) > rows:
            if where == "forward":
                fail()
            elif output.requires_grad:
                output.register_hook(fail)

    # Where the gradient comes last: the layers above have theirs by then.
    handle = model.electra.embeddings.register_forward_hook(watch)
    yield
    handle.remove()


@pytest.mark.parametrize("piece_rows", [16, 5, 1])
def test_pieces_add_up_to_the_gradient_of_the_batch(tmp_path: Path, piece_rows: int) -> None:
    parts = make_parts(60, dropout=0.0)
    batch = _batch(parts)
    plain = copy.deepcopy(parts.model).train()
    logits = plain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = torch.nn.functional.cross_entropy(
        logits, batch["labels"], weight=torch.tensor(WEIGHTS), label_smoothing=SMOOTHING
    )
    expected.backward()
    trainer = _trainer(parts, tmp_path)
    trainer.piece_rows = piece_rows
    loss = trainer.training_step(parts.model, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    found = _gradients(parts.model)
    for name, value in _gradients(plain).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("piece_rows", [16, 5])
def test_targets_take_the_place_of_labels(tmp_path: Path, piece_rows: int) -> None:
    parts = make_parts(60, dropout=0.0)
    rows = parts.train.owners.max() + 1
    targets = np.random.default_rng(0).dirichlet([1, 1, 1], rows).astype(np.float32)
    taught = dataclasses.replace(parts, train=parts.train.with_targets(targets))
    batch = _batch(taught)
    wanted = batch["targets"]
    np.testing.assert_array_equal(wanted, targets[parts.train.owners[:16]])
    plain = copy.deepcopy(parts.model).train()
    logits = plain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    smooth = (1 - SMOOTHING) * wanted + SMOOTHING / 3
    weights = torch.tensor(WEIGHTS)
    expected = -(smooth * weights * logits.log_softmax(1)).sum() / (wanted * weights).sum()
    expected.backward()
    trainer = _trainer(taught, tmp_path)
    trainer.piece_rows = piece_rows
    assert trainer.training_step(parts.model, batch).item() == pytest.approx(expected.item(), 1e-5)
    found = _gradients(parts.model)
    for name, value in _gradients(plain).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_batch_that_the_memory_does_not_hold_is_computed_in_pieces(
    tmp_path: Path, where: str
) -> None:
    parts = make_parts(60, dropout=0.0)
    batch = _batch(parts)
    whole = _trainer(dataclasses.replace(parts, model=copy.deepcopy(parts.model)), tmp_path)
    expected = whole.training_step(whole.model, batch)
    trainer = _trainer(parts, tmp_path)
    with _memory_for(parts.model, 5, where=where):
        loss = trainer.training_step(parts.model, batch)
    assert trainer.piece_rows == 4
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    found = _gradients(parts.model)
    assert whole.model is not None
    for name, value in _gradients(whole.model).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
    assert trainer._seen == 16  # rows of a broken piece are not counted twice


def test_a_whole_fit_keeps_its_batches_where_the_memory_is_small(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1)
    histories = []
    for name, rows in (("roomy", 1_000), ("tight", 3)):
        parts = make_parts(120, dropout=0.0)
        with _memory_for(parts.model, rows, where="forward"):
            result = train_with_early_stopping(
                parts.model,
                parts.train,
                parts.validation,
                settings,
                tmp_path / name,
                device="cpu",
            )
        histories.append(result.history)
        assert result.piece_rows == (16 if name == "roomy" else 2)
    roomy, tight = histories
    assert [record["step"] for record in roomy] == [record["step"] for record in tight]
    losses = [[record["loss"] for record in side if "loss" in record] for side in histories]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_memory_for_no_text_at_all_is_said_in_a_line(tmp_path: Path) -> None:
    parts = make_parts(60)
    trainer = _trainer(parts, tmp_path)
    with _memory_for(parts.model, 0, where="forward"), pytest.raises(DeviceError, match="one text"):
        trainer.training_step(parts.model, _batch(parts))


def test_an_epoch_holds_every_row_once_in_batches_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 120, 1_003)
    order = GroupedOrder(lengths, 32, seed=7)
    rows = list(order)
    assert sorted(rows) == list(range(1_003))
    batches = [rows[start : start + 32] for start in range(0, len(rows), 32)]
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.15 * lengths.sum()
    assert lengths[batches[0]].max() == lengths.max()
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest != sorted(longest, reverse=True)
    assert list(order) == rows
    order.epoch = 1
    assert list(order) != rows
    assert list(GroupedOrder(lengths, 32, seed=8)) != rows


def test_an_evaluation_counts_texts_and_not_windows() -> None:
    # Text 0 has three windows: two short ones are wrong, the long one is right and outweighs them.
    windows = [np.zeros(n, np.int32) for n in (12, 4, 4, 6)]
    encoded = Encoded(windows, np.array([2, 2, 2, 0]), np.array([0, 0, 0, 1]))
    logits = np.array([[0, 0, 4.0], [3.0, 0, 0], [3.0, 0, 0], [5.0, 0, 0]])
    found = TextMeasure(encoded, None)(logits)
    assert found["accuracy"] == 1
    mean = torch.tensor([[12 / 14, 0, 40 / 14], [5.0, 0, 0]])
    expected = torch.nn.functional.cross_entropy(mean, torch.tensor([2, 0])).item()
    assert found["loss"] == pytest.approx(expected)
    weighted = TextMeasure(encoded, WEIGHTS)(logits)["loss"]
    expected = torch.nn.functional.cross_entropy(
        mean, torch.tensor([2, 0]), weight=torch.tensor(WEIGHTS)
    ).item()
    assert weighted == pytest.approx(expected)
