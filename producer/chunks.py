"""Which chunk a crawl's documents go to: runs of rows within two bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

CHUNK_DOCUMENTS = 4_096  # a lease's worth of work on a slow CPU, one statement's worth of labels
CHUNK_CHARACTERS = 4_000_000  # bounds the memory of a worker that meets long documents

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class ChunkFill:
    """How far a crawl's chunks are filled: totals so far, and the chunk that is open.

    A chunk is a pair (documents so far / 4,096, characters so far / 4,000,000): both only grow, so
    that a pair is a run of rows within both bounds (its last document may pass the second).
    """

    documents: int = 0
    characters: int = 0
    open_chunk_id: int | None = None
    _open_pair: tuple[int, int] = (0, 0)

    def place(self, lengths: Integers) -> ChunkPlan:
        """Place the next documents and move on; the caller then sets `open_chunk_id`.

        Args:
            lengths: characters of each document, `int64 [documents]`.
        """
        before = self.characters + np.cumsum(lengths) - lengths
        pairs = np.stack(
            [
                (self.documents + np.arange(len(lengths))) // CHUNK_DOCUMENTS,
                before // CHUNK_CHARACTERS,
            ]
        )
        previous = np.concatenate([np.array(self._open_pair)[:, None], pairs[:, :-1]], axis=1)
        begins = (pairs != previous).any(axis=0)
        goes_on = self.open_chunk_id is not None and not begins[0]
        begins[0] = True
        groups = np.cumsum(begins) - 1
        self.documents += len(lengths)
        self.characters += int(lengths.sum())
        self._open_pair = (int(pairs[0, -1]), int(pairs[1, -1]))
        return ChunkPlan(groups, np.bincount(groups).tolist(), goes_on=goes_on)


@dataclass(frozen=True)
class ChunkPlan:
    """Groups of documents, one a chunk: the group of each document, and how many are in each.

    `goes_on`: the first group belongs to the chunk that was open.
    """

    groups: Integers
    sizes: list[int]
    goes_on: bool
