"""Word vectors from a corpus alone: what a model with random weights begins with.

Positive pointwise mutual information of words that stand near one another, factorised: the closed
form of word2vec (Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization";
the smoothed contexts are theirs too, 2015). A minute tells that 재밋다 is 재밌다,
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

    Only pairs that occur are kept, however many words there are: 3 GB for 38 million neighbours.

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
        told = torch.sparse.sum(information, dim=1).to_dense()[:, None] > 0
        return torch.where(told, vectors / size.clamp(min=1e-12), unknown) * SCALE


def _count_pairs(
    windows: Sequence[NDArray[np.int32]], vocabulary: int, special_ids: Sequence[int]
) -> Tensor:
    """How often two words stand near one another: sparse float32 [vocabulary, vocabulary]."""
    tokens = np.concatenate(windows).astype(np.int64)
    owners = np.repeat(np.arange(len(windows)), [len(ids) for ids in windows])
    words = ~np.isin(tokens, special_ids)
    pairs, weights = [], []
    for distance in range(1, CONTEXT_WORDS + 1):
        near = (owners[distance:] == owners[:-distance]) & words[distance:] & words[:-distance]
        pairs.append(np.stack([tokens[:-distance][near], tokens[distance:][near]]))
        weights.append(np.full(pairs[-1].shape[1], 1.0 / distance, np.float32))
    counts = torch.sparse_coo_tensor(
        torch.from_numpy(np.concatenate(pairs, axis=1)),
        torch.from_numpy(np.concatenate(weights)),
        (vocabulary, vocabulary),
        check_invariants=False,
    ).coalesce()
    return (counts + counts.t()).coalesce()


def _mutual_information(counts: Tensor) -> Tensor:
    """Its positive part: sparse float32 [vocabulary, vocabulary]."""
    words = torch.sparse.sum(counts, dim=1).to_dense()
    contexts = words**CONTEXT_POWER
    left, right = counts.indices()
    expected = words[left] * contexts[right] / contexts.sum()
    information = (counts.values() / expected).clamp(min=1.0).log()
    told = information > 0
    return torch.sparse_coo_tensor(
        counts.indices()[:, told], information[told], counts.shape, check_invariants=False
    ).coalesce()
