"""Word vectors from a corpus alone: what a model with random weights begins with.

Positive pointwise mutual information of words that stand near one another, factorised: the closed
form of word2vec (Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization";
the smoothed contexts are theirs too, 2015). Twenty seconds tell that 재밋다 is 재밌다,
which pre-training needs hours to find (docs/decisions/0002-starter.md). It knows no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CONTEXT_WORDS = 5  # on each side; one at a distance of d counts 1/d
CONTEXT_POWER = 0.75  # of a context word's frequency, else rare ones tell too much
SPARE_RANK = 16  # beyond what is kept: the factorisation is a randomised one
SCALE = 0.05  # root mean square of a vector's values, as position embeddings have 0.02


def fit_word_vectors(
    windows: Sequence[NDArray[np.int32]],
    *,
    vocabulary: int,
    width: int,
    special_ids: Sequence[int],
    seed: int,
) -> Tensor:
    """Count, weigh and factorise.

    It takes some 10 bytes for each pair of words of the vocabulary: 6 GB for 24,000 words.

    Args:
        windows: token ids of each text.
        vocabulary: tokens.
        width: of a vector, fewer than there are tokens.
        special_ids: tokens that are no words; they and words that never occur get random vectors.
        seed: of the factorisation.

    Returns:
        float32 [vocabulary, width].
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        information = _mutual_information(_count_pairs(windows, vocabulary, special_ids))
        rank = min(width + SPARE_RANK, vocabulary)
        left, values, _ = torch.svd_lowrank(information, q=rank, niter=2)
        vectors = left[:, :width] * values[:width].sqrt()
        size = vectors.pow(2).mean(dim=1, keepdim=True).sqrt()
        unknown = torch.randn(vocabulary, width)
        return torch.where(size > 0, vectors / size.clamp(min=1e-12), unknown) * SCALE


def _count_pairs(
    windows: Sequence[NDArray[np.int32]], vocabulary: int, special_ids: Sequence[int]
) -> Tensor:
    """How often two words stand near one another: float32 [vocabulary, vocabulary]."""
    tokens = np.concatenate(windows).astype(np.int64)
    owners = np.repeat(np.arange(len(windows)), [len(ids) for ids in windows])
    words = ~np.isin(tokens, special_ids)
    counts = torch.zeros(vocabulary * vocabulary)
    for distance in range(1, CONTEXT_WORDS + 1):
        near = (owners[distance:] == owners[:-distance]) & words[distance:] & words[:-distance]
        pairs = tokens[:-distance][near] * vocabulary + tokens[distance:][near]
        weights = torch.full((len(pairs),), 1.0 / distance)
        counts.index_add_(0, torch.from_numpy(pairs), weights)
    square = counts.view(vocabulary, vocabulary)
    return square + square.T


def _mutual_information(counts: Tensor) -> Tensor:
    """Its positive part, in place."""
    words = counts.sum(dim=1)
    contexts = words**CONTEXT_POWER
    counts.mul_(contexts.sum())
    counts.div_(words.clamp(min=1e-9)[:, None]).div_(contexts.clamp(min=1e-9)[None, :])
    return counts.clamp_(min=1.0).log_()
