"""What pre-training begins with where there is no base: random weights, words with a meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import ElectraForPreTraining

from trainer.checkpoints import disk_errors
from trainer.encoding import Ids, encode
from trainer.shape import Shape, make_discriminator
from trainer.vocabulary import special_ids, train_vocabulary
from trainer.word_vectors import fit_word_vectors
from trainer.workdir import whole_file

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
    texts: Sequence[str], model: NewModel, *, seed: int, kept: Path
) -> tuple[ElectraForPreTraining, Tokenizer, list[Ids]]:
    """A model with random weights but for its words, its tokenizer, and the texts' windows.

    Args:
        texts: prepared, each once.
        model: its size.
        seed: of everything random.
        kept: a file for the tokenizer, which is taken from there where it is: the library breaks
            ties between words by chance, and what was begun must go on with the same words.

    Raises:
        StoreError: the disk is full or refuses.
    """
    with disk_errors(kept.parent):
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(kept) as aside:
                train_vocabulary(texts, model.vocabulary).save(str(aside))
        tokenizer = Tokenizer.from_file(str(kept))
    tokenizer.encode_special_tokens = True  # is not kept in the file
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
