"""Windows of similar length together in one padded batch, in an order that a seed decides.

It knows no model and no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from trainer.encoding import Encoded


class Windows(Dataset[Mapping[str, Any]]):
    """Encoded windows as rows `input_ids`, `labels`, and `targets` where there are some."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded.input_ids)

    def __getitem__(self, place: int) -> dict[str, Any]:
        row = {
            "input_ids": self._encoded.input_ids[place],
            "labels": int(self._encoded.label_ids[place]),
        }
        targets = self._encoded.targets
        return row if targets is None else row | {"targets": targets[place]}


class GroupedOrder(Sampler[int]):
    """An epoch's order of rows: batches of similar length, the batches shuffled.

    It depends on the seed and the epoch alone, so that a fit that goes on in the middle of an epoch
    leaves out just the rows that it has seen. The batch with the longest row comes first, that
    memory runs out at once or not at all.

    Args:
        lengths: int64 [rows].
        batch_rows: rows of a batch; only an epoch's last batch has fewer.
        seed: of the fit.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_rows: int, seed: int) -> None:
        self._lengths = lengths.tolist()
        self._batch_rows = batch_rows
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        rows = get_length_grouped_indices(self._lengths, self._batch_rows, generator=generator)
        starts = range(0, len(rows), self._batch_rows)
        batches = [rows[start : start + self._batch_rows] for start in starts]
        # The library leaves some fifty batches in a row sorted by length: a drift that training
        # follows. A last batch that is not full stays last.
        middle = batches[1:-1]
        shuffled = torch.randperm(len(middle), generator=generator).tolist()
        yield from batches[0]
        for place in shuffled:
            yield from middle[place]
        if len(batches) > 1:
            yield from batches[-1]


def longest_first(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of evaluation: int64 [rows]."""
    return np.argsort(-lengths, kind="stable")


def collate(rows: list[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad rows to their longest: `input_ids` and `attention_mask` int64 [rows, tokens].

    `targets`, where rows have them, are float32 [rows, labels].
    """
    longest = max(len(row["input_ids"]) for row in rows)
    input_ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        ids = row["input_ids"]
        input_ids[place, : len(ids)] = ids
        mask[place, : len(ids)] = 1
    batch = {
        "input_ids": torch.from_numpy(input_ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }
    if "targets" in rows[0]:
        batch["targets"] = torch.from_numpy(np.stack([row["targets"] for row in rows]))
    return batch
