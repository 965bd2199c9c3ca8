"""What pre-training begins with where there is no base: random weights, words with a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import ElectraForPreTraining

from trainer.encoding import Ids, encode
from trainer.shape import Shape, make_discriminator
from trainer.vocabulary import special_ids, train_vocabulary
from trainer.word_vectors import fit_word_vectors

PADDING_LENGTH = 160  # tokens; longer texts are cut into windows: attention's cost is quadratic
HEAD_WIDTH = 64


@dataclass(frozen=True)
class NewModel:
    """A model that does not exist yet. The defaults are the starter's."""

    layers: int = 4
    width: int = 256
    embedding: int = 128
    """Of a word."""
    vocabulary: int = 24_000
    """Tokens at most; fewer where the texts have no more."""


def new_discriminator(
    texts: Sequence[str], model: NewModel, *, seed: int
) -> tuple[ElectraForPreTraining, Tokenizer, list[Ids]]:
    """A model with random weights but for its words, its tokenizer, and the texts' windows.

    Args:
        texts: prepared, each once.
        model: its size.
        seed: of everything random.
    """
    tokenizer = train_vocabulary(texts, model.vocabulary)
    windows = encode_unlabelled(tokenizer, texts, PADDING_LENGTH)
    torch.manual_seed(seed)
    heads = max(1, model.width // HEAD_WIDTH)
    shape = Shape(model.layers, model.width, heads, model.embedding)
    discriminator = make_discriminator(tokenizer, PADDING_LENGTH, shape)
    vectors = fit_word_vectors(
        windows,
        vocabulary=tokenizer.get_vocab_size(),
        width=model.embedding,
        special_ids=list(special_ids(tokenizer).values()),
        seed=seed,
    )
    with torch.no_grad():
        discriminator.electra.embeddings.word_embeddings.weight.copy_(vectors)
    return discriminator, tokenizer, windows


def encode_unlabelled(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> list[Ids]:
    """Windows of prepared texts that nobody has labelled."""
    return encode(tokenizer, texts, np.zeros(len(texts), np.int64), length).input_ids
