"""A model that reads more words says about what it said before."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification

from tests.tiny_version import TEXTS, spread_out
from trainer.more_words import add_words, spell
from trainer.publish import WORD_VECTORS
from trainer.shape import make_model
from trainer.vocabulary import train_vocabulary

VOCABULARY = {"재": 0, "재미": 1, "##미": 2, "##있": 3, "##있다": 4, "##다": 5}


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("재미있다", [1, 4]),  # the longest first
        ("재있", [0, 3]),
        ("##미있다", [2, 4]),  # what goes on a word is spelled so from its first piece on
        ("미있다", []),  # no word begins with it
        ("재밌다", []),
    ],
)
def test_a_word_is_spelled_by_the_longest_pieces(word: str, ids: list[int]) -> None:
    assert spell(word, VOCABULARY) == ids


@pytest.fixture(scope="module")
def known() -> Tokenizer:
    return train_vocabulary(TEXTS * 3, 90)


@pytest.fixture(scope="module")
def wanted() -> Tokenizer:
    return train_vocabulary([*TEXTS * 3, "햇살 햇살 햇살"], 160)


@pytest.fixture(scope="module")
def model(known: Tokenizer) -> ElectraForSequenceClassification:
    torch.manual_seed(0)
    made = make_model(known, 32, layers=1, width=32, heads=2)
    spread_out(made)
    return made


def test_known_words_keep_their_vectors_and_new_ones_begin_between_their_pieces(
    known: Tokenizer, wanted: Tokenizer, model: ElectraForSequenceClassification
) -> None:
    grown = add_words(model, known, wanted, seed=0).state_dict()
    before, after = model.state_dict()[WORD_VECTORS], grown[WORD_VECTORS]
    assert len(after) == wanted.get_vocab_size() > len(before)
    old = known.get_vocab()
    new = {word: place for word, place in wanted.get_vocab().items() if word not in old}
    for word, place in wanted.get_vocab().items():
        if word in old:
            assert torch.equal(after[place], before[old[word]]), word
        elif pieces := spell(word, old):
            towards = torch.nn.functional.cosine_similarity(
                after[place], before[pieces].mean(dim=0), dim=0
            )
            assert towards > 0.999, word
            torch.testing.assert_close(after[place].norm(), before[pieces].norm(dim=1).mean())
    strange = [place for word, place in new.items() if not spell(word, old)]
    assert strange, "햇 is in no other text"
    assert (after[strange].norm(dim=1) > 0).all()
    for name, value in model.state_dict().items():
        if name != WORD_VECTORS:
            assert torch.equal(value, grown[name]), name


def test_the_same_seed_gives_the_same_and_leaves_the_random_numbers_alone(
    known: Tokenizer, wanted: Tokenizer, model: ElectraForSequenceClassification
) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (add_words(model, known, wanted, seed=3).state_dict() for _ in range(2))
    torch.testing.assert_close(torch.rand(3), expected)
    assert torch.equal(first[WORD_VECTORS], second[WORD_VECTORS])
