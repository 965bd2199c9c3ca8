"""Words that stand in the same places get like vectors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainer.word_vectors import SCALE, fit_word_vectors

SPECIAL = [0, 1, 2]
DOGS, CATS = (10, 11), (12, 13)  # two names each of two things
AROUND_DOGS, AROUND_CATS = range(20, 30), range(30, 40)


def _texts(rows: int = 2_000) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
    draw = np.random.default_rng(0)
    texts = []
    for row in range(rows):
        names, around = ((DOGS, AROUND_DOGS), (CATS, AROUND_CATS))[row % 2]
        words = [1, draw.choice(around), draw.choice(names), draw.choice(around), 2]
        texts.append(np.array(words, dtype=np.int32))
    return texts


def _vectors(seed: int = 0) -> Tensor:
    return fit_word_vectors(_texts(), vocabulary=50, width=8, special_ids=SPECIAL, seed=seed)


def test_names_of_one_thing_are_alike_and_of_two_things_are_not() -> None:
    vectors = torch.nn.functional.normalize(_vectors(), dim=1)
    alike = vectors @ vectors.T
    assert alike[DOGS] > 0.9
    assert alike[CATS] > 0.9
    assert alike[DOGS[0], CATS[0]] < 0.3


def test_every_word_has_a_vector_of_the_same_size_even_if_it_never_occurs() -> None:
    vectors = _vectors()
    assert torch.isfinite(vectors).all()
    size = vectors.pow(2).mean(dim=1).sqrt()
    occurring = [*DOGS, *CATS, *AROUND_DOGS, *AROUND_CATS]
    torch.testing.assert_close(size[occurring], torch.full((24,), SCALE))
    assert (size > SCALE / 4).all()


def test_the_same_texts_and_seed_give_the_same_vectors_and_leave_the_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = _vectors()
    torch.testing.assert_close(torch.rand(3), expected)
    torch.testing.assert_close(first, _vectors())
