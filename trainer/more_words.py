"""More words for a model that knows its language already: what it said in pieces, it says whole.

A word that is new begins with the mean of its pieces' vectors, as long as theirs are on average,
so that the model reads a text with fewer words about as it read it with more (Hewitt 2021,
"Initializing New Word Embeddings for Pretrained Language Models"). A fit then tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import ElectraForSequenceClassification

from trainer.publish import WORD_VECTORS
from trainer.word_vectors import SCALE

CONTINUED = "##"  # begins a piece that goes on a word


def add_words(
    model: ElectraForSequenceClassification, known: Tokenizer, wanted: Tokenizer, *, seed: int
) -> ElectraForSequenceClassification:
    """A copy of a model that reads another vocabulary.

    Args:
        model: stays as it is.
        known: its tokenizer, WordPiece.
        wanted: the copy's, WordPiece, with words that mostly the other knows or can spell.
        seed: of the vectors of what it cannot spell.
    """
    before = known.get_vocab()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vectors = _vectors(model.state_dict()[WORD_VECTORS], before, wanted.get_vocab())
        config = type(model.config).from_dict(
            model.config.to_dict() | {"vocab_size": wanted.get_vocab_size()}
        )
        grown = ElectraForSequenceClassification(config)
    grown.load_state_dict(model.state_dict() | {WORD_VECTORS: vectors})
    grown.eval()
    return grown


def spell(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The ids of the longest pieces, from the left; none where a character is missing."""
    begins = not word.startswith(CONTINUED)
    rest = word.removeprefix(CONTINUED)
    ids: list[int] = []
    while rest:
        prefix = "" if begins and not ids else CONTINUED
        for end in range(len(rest), 0, -1):
            if prefix + rest[:end] in vocabulary:
                ids.append(vocabulary[prefix + rest[:end]])
                rest = rest[end:]
                break
        else:
            return []
    return ids


def _vectors(vectors: Tensor, before: Mapping[str, int], wanted: Mapping[str, int]) -> Tensor:
    """float32 [words before, width] -> float32 [words wanted, width]."""
    made = torch.randn(len(wanted), vectors.shape[1]) * SCALE
    for word, place in wanted.items():
        known = [before[word]] if word in before else spell(word, before)
        if known:
            made[place] = _mean(vectors[known])
    return made


def _mean(pieces: Tensor) -> Tensor:
    """Of vectors, as long as they are on average: float32 [pieces, width] -> [width]."""
    mean = pieces.mean(dim=0)
    longer: Tensor = pieces.norm(dim=1).mean() / mean.norm().clamp(min=1e-6)
    return mean * longer
