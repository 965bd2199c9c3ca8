"""How many shapes of batches a worker meets over many chunks, by ways to cut them.

    python -m benchmarks.batch_shapes --data naver_reviews_train.parquet

Nothing is computed: reviews are tokenized for the shipped version, chunk by chunk, and their
batches planned. Libraries that compile for a shape keep what they compiled for each.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.reviews import CHUNK, read_texts
from benchmarks.shapes import tokenizer_of
from sentiment.batching import plan_batches
from sentiment.classifier import MAX_BATCH_ROWS
from sentiment.store import shipped_version
from sentiment.text import prepare
from sentiment.windows import Windows, encode

BATCH_TOKENS = 1_024
HEADERS = ("batches are cut", "shapes after the first chunk", "a quarter", "half", "all", "padding")


@dataclass
class Way:
    """A way to cut chunks, and what it has met."""

    rounded: bool
    few_shapes: bool
    met: set[tuple[int, int]] = field(default_factory=set)
    counts: list[int] = field(default_factory=list)
    padded: int = 0

    def take(self, windows: Windows) -> None:
        """Plan one chunk."""
        widths = windows.widths if self.rounded else windows.lengths
        for rows in plan_batches(widths, BATCH_TOKENS, MAX_BATCH_ROWS, few_shapes=self.few_shapes):
            shape = len(rows), int(widths[rows].max())
            self.met.add(shape)
            self.padded += shape[0] * shape[1]
        self.counts.append(len(self.met))


def main() -> None:
    options = _parse()
    version = shipped_version()
    manifest = json.loads((version / "manifest.json").read_text(encoding="utf-8"))
    tokenizer = tokenizer_of(version)
    ways = {
        "as they come": Way(rounded=False, few_shapes=False),
        "the last in powers of two of rows": Way(rounded=False, few_shapes=True),
        "16 widths in a doubling as well, as a CPU's worker does": Way(
            rounded=True, few_shapes=True
        ),
    }
    texts, tokens = read_texts(options.data, options.rows), 0
    for start in range(0, len(texts), CHUNK):
        distinct = list(dict.fromkeys(prepare(text) for text in texts[start : start + CHUNK]))
        windows = encode(tokenizer, distinct, int(manifest["padding_length"]))
        tokens += int(windows.lengths.sum())
        for way in ways.values():
            way.take(windows)
    chunks = len(next(iter(ways.values())).counts)
    places = np.maximum(np.array([1, chunks // 4, chunks // 2, chunks]), 1) - 1
    report.print_table(
        f"{len(texts):,} reviews in {chunks} chunks, batches of {BATCH_TOKENS:,} tokens",
        HEADERS,
        [
            (name, *(f"{way.counts[at]}" for at in places), f"{1 - tokens / way.padded:.1%}")
            for name, way in ways.items()
        ],
    )
    report.print_notes("Padding: of the places that are computed.")
    report.write_json(options.json, {name: way.counts for name, way in ways.items()})


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, rounds=None)
    parser.add_argument("--data", type=Path, required=True, help="Parquet with a column text")
    parser.add_argument("--rows", type=int, default=500_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
