"""Whether a worker's speed and memory stay as they are over hundreds of chunks.

    python -m benchmarks.steady --data naver_reviews_train.parquet

One process of one thread with the shipped version labels chunk after chunk, each one new, as a
worker's child does. Speed is by the block of chunks, in tokens too, for texts differ in length;
memory is what the process holds at the end of each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from benchmarks import report, reviews
from benchmarks.crew import Crew
from benchmarks.engines import load, resolve_device
from sentiment.store import shipped_version

BLOCKS = 10  # of the table; the first and the last are compared
HEADERS = ("documents", "documents/s", "tokens/s", "resident memory, MB")
Measured = dict[str, float]


def main() -> None:
    options = _parse()
    device = resolve_device(options.device)
    texts = reviews.read_texts(options.data, options.rows)
    pieces = reviews.in_chunks(texts, 1)
    with tempfile.TemporaryDirectory() as cache:
        arguments = (options.version, device, options.engine, options.precision, Path(cache))
        with Crew(make_steady, *arguments) as crew:
            _seconds, chunks = crew.run(pieces)
    blocks = in_blocks(chunks)
    report.print_table(
        f"{len(texts):,} documents by one process, {options.engine} in {options.precision},"
        f" {len(pieces)} chunks",
        HEADERS,
        [_row(block) for block in blocks],
    )
    first, last = blocks[0], blocks[-1]
    report.print_notes(
        f"Last / first: {last['documents_per_s'] / first['documents_per_s']:.3f} in documents,"
        f" {last['tokens_per_s'] / first['tokens_per_s']:.3f} in tokens,"
        f" {last['memory_mb'] / first['memory_mb']:.3f} in memory."
    )
    report.write_json(options.json, chunks, device=device, rows=len(texts))


def make_steady(
    version: Path, device: str, engine: str, precision: str, cache: Path
) -> Callable[[list[str]], Measured]:
    """A function that labels a chunk and tells its seconds, tokens and the memory held after it."""
    classifier = load(version, device, engine, precision, cache)
    process = psutil.Process(os.getpid())

    def label(texts: list[str]) -> Measured:
        start = time.perf_counter()
        work = classifier.predict(texts).work
        return {
            "seconds": time.perf_counter() - start,
            "documents": len(texts),
            "tokens": work.tokens,
            "memory_mb": process.memory_info().rss / 2**20,
        }

    return label


def in_blocks(chunks: Sequence[Measured]) -> list[Measured]:
    """Chunks of some thousand documents by the block: rates, and the memory at its end.

    A rate is the median of its chunks', so that one that something else slowed down says nothing.
    """
    size = -(-len(chunks) // BLOCKS)
    blocks = [chunks[start : start + size] for start in range(0, len(chunks), size)]
    documents = 0.0
    found = []
    for block in blocks:
        documents += sum(chunk["documents"] for chunk in block)
        rates = {
            f"{unit}_per_s": statistics.median(chunk[unit] / chunk["seconds"] for chunk in block)
            for unit in ("documents", "tokens")
        }
        found.append({"until": documents, **rates, "memory_mb": block[-1]["memory_mb"]})
    return found


def _row(block: Measured) -> tuple[str, ...]:
    return (
        f"to {block['until']:,.0f}",
        f"{block['documents_per_s']:,.0f}",
        f"{block['tokens_per_s']:,.0f}",
        f"{block['memory_mb']:,.0f}",
    )


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, rounds=None, device=True)
    parser.add_argument("--data", type=Path, required=True, help="Parquet with a column text")
    parser.add_argument("--version", type=Path, default=shipped_version(), help="its directory")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    parser.add_argument("--precision", default="bf16", help="fp32, bf16, fp16 or int8")
    return parser.parse_args()


if __name__ == "__main__":
    main()
