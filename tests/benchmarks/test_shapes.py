"""What a share of the peak is reckoned from: operations, lengths and samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import ElectraForSequenceClassification

from benchmarks import peak as peak_module
from benchmarks import reviews, shapes
from benchmarks.peak import make_peak


@pytest.mark.parametrize("tokens", [5, 17])
def test_operations_are_those_that_torch_counts(tiny: Path, tokens: int) -> None:
    model = ElectraForSequenceClassification.from_pretrained(str(tiny), attn_implementation="eager")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.ones((3, tokens), dtype=torch.int64))
    lengths = np.full(3, tokens)
    assert shapes.operations(tiny, lengths) == counter.get_total_flops()
    assert shapes.operations(tiny, lengths, lean=True) < counter.get_total_flops()


def test_lengths_count_the_frame(tiny: Path) -> None:
    one, two = shapes.token_lengths(tiny, ["정말", "정말 정말"])
    assert two - shapes.SPECIAL_TOKENS == 2 * (one - shapes.SPECIAL_TOKENS)


def test_a_smaller_sample_is_as_long_on_average() -> None:
    lengths = np.random.default_rng(1).integers(3, 60, 4_000)
    places = reviews.even_sample(lengths, 250)
    assert len(set(places.tolist())) == 250
    assert abs(lengths[places].mean() - lengths.mean()) < 0.2
    assert places.tolist() != sorted(places.tolist())


def test_chunks_hold_every_text_and_every_process_has_one() -> None:
    texts = [str(n) for n in range(10)]
    pieces = reviews.in_chunks(texts, 3)
    assert len(pieces) == 3
    assert [text for piece in pieces for text in piece] == texts
    assert len(reviews.in_chunks(["a"] * 9_000, 2)[0]) == reviews.CHUNK


def test_reviews_that_read_the_same_are_there_once(reviews_file: Path) -> None:
    texts = reviews.distinct_texts(reviews_file, 50)
    assert len(texts) == len(set(texts)) == 50


def test_a_machine_has_a_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_module, "CALL_S", 0.02)
    monkeypatch.setattr(peak_module, "CPU_SIZES", ((256, 256, 256),))
    peak = make_peak("cpu", 1)
    assert 1e9 < peak("fp32") < 1e13
