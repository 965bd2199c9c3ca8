"""Whether a worker's speed and memory stay as they are over hundreds of chunks.

    python -m benchmarks.steady --data naver_reviews_train.parquet

`nifos run` with servers of its own and a worker of one process. Speed is what the worker noted of
each chunk (`scoring_speed`), by the block of chunks and in tokens too, for texts differ in length;
memory is what the worker's largest process held when the last chunk of a block was done.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil

from benchmarks import report
from benchmarks.route import Route

BLOCKS = 10  # of the table; the first and the last are compared
HEADERS = ("documents", "documents/s", "tokens/s", "resident memory, MB")
# `finished_at` is the fence's time, before the labels are written.
CHUNKS = """
    select documents, tokens, seconds, extract(epoch from finished_at) as at, engine, precision
    from scoring_speed order by finished_at, chunk"""
Measured = dict[str, float]


def main() -> None:
    options = _parse()
    table = pd.read_parquet(options.data, columns=["id", "written_at", "text"]).head(options.rows)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.parquet"
        table.to_parquet(path)
        chunks, how = measure_worker(path, Path(scratch) / "home", options.device)
    blocks = in_blocks(chunks)
    done = sum(chunk["documents"] for chunk in chunks)
    report.print_table(
        f"{done:,.0f} documents by a worker of one process, {how}, {len(chunks)} chunks",
        HEADERS,
        [_row(block) for block in blocks],
    )
    first, last = blocks[0], blocks[-1]
    report.print_notes(
        f"Last / first: {last['documents_per_s'] / first['documents_per_s']:.3f} in documents,"
        f" {last['tokens_per_s'] / first['tokens_per_s']:.3f} in tokens,"
        f" {last['memory_mb'] / first['memory_mb']:.3f} in memory."
    )
    report.write_json(options.json, chunks, device=options.device, rows=len(table))


def measure_worker(path: Path, home: Path, device: str) -> tuple[list[Measured], str]:
    """Each chunk in the order of its end: documents, tokens, seconds, memory_mb after it.

    Also what they were computed by.
    """
    nifos = Route(home, 1, NIFOS_DEVICE=device)
    memory: list[tuple[float, float]] = []
    nifos(
        *("run", str(path), "--source", "benchmark", "--json"),
        while_it_runs=lambda pid: memory.append((time.time(), largest_mb(pid))),
    )
    rows = nifos("sql", "--format", "json", CHUNKS)
    times = [at for at, _ in memory]
    chunks = [
        {name: float(row[name]) for name in ("documents", "tokens", "seconds")}
        | {"memory_mb": memory[max(0, bisect_right(times, float(row["at"])) - 1)][1]}
        for row in rows
    ]
    return chunks, f"{rows[0]['engine']} in {rows[0]['precision']}"


def largest_mb(command: int) -> float:
    """Of the Python processes below a command, what the largest holds, in MB; 0 without one."""
    found = [0.0]
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(command).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "python" in process.name():
                    found.append(process.memory_info().rss / 2**20)
    return max(found)


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
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--rows", type=int, default=500_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
