"""A teacher that reads runs of characters and learns grades: stars say more than labels do.

A vector for each run, their sum weighted by rarity, one layer (Joulin et al. 2017, "Bag of Tricks
for Efficient Text Classification"), which answers by grade; the grades of a label are summed. It is
asked, as `trainer.teacher` is, only of texts that it has not learnt from. The mean of several that
learnt from other halves of the texts is better than each (Breiman 1996, "Bagging Predictors").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sentiment.labels import LABELS
from sentiment.metrics import Probabilities
from trainer.character_runs import ACROSS_WORDS, WITHIN_WORDS, Reading, read_runs
from trainer.grades import Grades
from trainer.teacher import split_parts

PARTS = 2  # each is asked of a teacher that learnt from the other
WIDTH = 64  # of a run's vector
START_SCALE = 0.1  # of the vectors
RARITY_SCALE = 3.0  # a text's weights have a length of 1
DROPOUT = 0.2
EPOCHS = 2  # a third learns the texts by heart: 0.685 of macro-F1 on others falls to 0.676
LEARNING_RATE = 3e-3
BATCH_ROWS = 256
ANSWERED_AT_ONCE = 4096
READINGS = (WITHIN_WORDS, ACROSS_WORDS)


def grade_answers(
    texts: Sequence[str], grades: Grades, reading: Reading, rounds: int, seed: int
) -> Probabilities:
    """What the teachers say of each text, the mean of some rounds.

    Args:
        texts: prepared, each once.
        grades: of the texts.
        reading: what the teachers see.
        rounds: of halving the texts; in each, a half is asked of the teacher of the other.
        seed: of the first round's halves, vectors and order; the next has the next.

    Returns:
        float64 [texts, labels], rows summing to 1.
    """
    runs = read_runs(texts, reading)
    said = [_ask(runs, grades, seed + place) for place in range(rounds)]
    return np.asarray(np.mean(said, axis=0), np.float64)


def _ask(runs: Any, grades: Grades, seed: int) -> Probabilities:
    said = np.zeros((runs.shape[0], len(LABELS)))
    parts = split_parts(runs.shape[0], seed, PARTS)
    for part in range(PARTS):
        asked = np.flatnonzero(parts == part)
        teacher = _fit(runs, grades, np.flatnonzero(parts != part), seed)
        said[asked] = _answers(teacher, runs, asked) @ np.eye(len(LABELS))[grades.label_ids]
    return said


class _Teacher(nn.Module):
    def __init__(self, runs: int, grades: int) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(runs, WIDTH, mode="sum", sparse=True)
        nn.init.normal_(self.vectors.weight, std=START_SCALE)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(WIDTH, grades))

    def forward(self, runs: Any) -> Tensor:
        """Logits float32 [rows, grades] of rows of a sparse matrix."""
        places = torch.from_numpy(runs.indices.astype(np.int64))
        starts = torch.from_numpy(runs.indptr[:-1].astype(np.int64))
        weights = torch.from_numpy(runs.data) * RARITY_SCALE
        logits: Tensor = self.head(self.vectors(places, starts, per_sample_weights=weights))
        return logits


def _fit(runs: Any, grades: Grades, rows: NDArray[np.int64], seed: int) -> _Teacher:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = _Teacher(runs.shape[1], len(grades.label_ids))
        targets = torch.from_numpy(grades.shares)
        optimizers = (
            torch.optim.SparseAdam(teacher.vectors.parameters(), lr=LEARNING_RATE),
            torch.optim.AdamW(teacher.head.parameters(), lr=LEARNING_RATE),
        )
        steps = EPOCHS * -(-len(rows) // BATCH_ROWS)
        for step, batch in enumerate(_batches(rows, seed)):
            for optimizer in optimizers:
                optimizer.zero_grad()
                for group in optimizer.param_groups:
                    group["lr"] = LEARNING_RATE * (1 - step / steps)
            nn.functional.cross_entropy(teacher(runs[batch]), targets[batch]).backward()
            for optimizer in optimizers:
                optimizer.step()
    return teacher.eval()


def _batches(rows: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.int64]]:
    chance = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = chance.permutation(rows)
        for start in range(0, len(order), BATCH_ROWS):
            yield order[start : start + BATCH_ROWS]


@torch.no_grad()
def _answers(teacher: _Teacher, runs: Any, rows: NDArray[np.int64]) -> Probabilities:
    said = [
        torch.softmax(teacher(runs[rows[start : start + ANSWERED_AT_ONCE]]).double(), dim=1)
        for start in range(0, len(rows), ANSWERED_AT_ONCE)
    ]
    return torch.cat(said).numpy()
