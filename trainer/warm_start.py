"""Word embeddings for a model that starts from random weights: a bag of words, fitted in seconds.

A mean of embeddings with one linear layer learns within a pass which words are good or bad; the
Electra then begins with that instead of noise (see docs/decisions/0002-starter.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from sentiment.labels import LABELS
from trainer.encoding import Encoded

BATCH_ROWS = 2_048
LEARNING_RATE = 5e-3


def fit_word_embeddings(
    encoded: Encoded, *, vocabulary: int, width: int, seed: int
) -> torch.Tensor:
    """Fit the bag of words for one pass.

    Returns:
        float32 [vocabulary, width].
    """
    torch.manual_seed(seed)
    bag = nn.EmbeddingBag(vocabulary, width, mode="mean", sparse=True)
    nn.init.normal_(bag.weight, std=0.05)
    head = nn.Linear(width, len(LABELS))
    optimizers: tuple[Any, ...] = (
        torch.optim.SparseAdam(bag.parameters(), lr=LEARNING_RATE),
        torch.optim.Adam(head.parameters(), lr=LEARNING_RATE),
    )
    order = np.random.default_rng(seed).permutation(len(encoded.input_ids))
    for start in range(0, len(order), BATCH_ROWS):
        rows = order[start : start + BATCH_ROWS]
        ids = [torch.from_numpy(encoded.input_ids[row].astype(np.int64)) for row in rows]
        offsets = torch.tensor([0, *(len(row) for row in ids[:-1])]).cumsum(0)
        loss: Any = nn.functional.cross_entropy(
            head(bag(torch.cat(ids), offsets)), torch.from_numpy(encoded.label_ids[rows])
        )
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    return bag.weight.detach()
