"""What the database costs a chunk, and what analysts wait for.

    python -m benchmarks.sql --data naver_reviews_train.parquet

A chunk of 4,096 documents is read and its labels are written by the product and by the ways that it
was chosen from, each in a transaction that is committed, each time on another chunk; beside it the
shipped version labels such a chunk in one thread, on a GPU where one is, and a device of 10,000
documents a second is reckoned. The queries are an analyst's, by the reader's role, over a million
labels.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import text

from benchmarks import analysts, label_ways, report, reviews
from benchmarks.crew import Crew
from benchmarks.databases import fresh_database
from benchmarks.end_to_end import make_bare
from benchmarks.engines import resolve_device
from benchmarks.rounds import Spread, interleave, spread, spread_of
from cli.embedded import EmbeddedServers
from core.messages import ScoringKey
from db import documents, versions
from db.engine import Engine, make_engine, transaction
from producer.crawl import ReadOptions, find_files
from producer.ingest import ingest

GPU_DOCUMENTS_PER_S = 10_000  # an A4000's rate with the base shape
LABELLING = "label it, shipped version, one thread"
READING = "read it"
WAYS: dict[str, Callable[..., None]] = {
    "write labels, as the worker does": label_ways.finish,
    "write labels by unnest of text arrays": partial(
        label_ways.finish_by, write=label_ways.by_unnest
    ),
    "write labels by COPY into a temporary table": partial(
        label_ways.finish_by, write=label_ways.by_temporary_table
    ),
    "write labels by binary COPY": partial(label_ways.finish_by, write=label_ways.by_binary_copy),
}
RUNNING = (
    "insert into scoring (chunk_id, version_id, state, attempt, holder, lease_until)"
    " values (:chunk, :version, 'running', 1, 'benchmark', now() + interval '1 hour')"
)


def main() -> None:
    options = _parse()
    device = resolve_device(options.device)
    table = pd.read_parquet(options.data, columns=["id", "written_at", "text"])
    table = table.head(options.chunks * reviews.CHUNK)
    with ExitStack() as stack:
        engine = stack.enter_context(_loaded(table))
        crew = stack.enter_context(Crew(make_bare, device))
        chunk_texts = table["text"].tolist()[: reviews.CHUNK]
        crew.run([chunk_texts[:64]])
        bench = Bench(engine)
        sides: dict[str, Callable[[], float]] = {
            LABELLING: lambda: crew.run([chunk_texts])[0],
            READING: bench.read,
            **{name: partial(bench.write, way) for name, way in WAYS.items()},
        }
        chunk_rounds = interleave(sides, options.rounds, _say_round)
        report.say(f"making {options.labels:,} labels")
        analysts.make_labels(engine, options.labels)
        asked = {name: partial(analysts.ask, engine, query) for name, query in analysts.ASKED}
        query_rounds = interleave(asked, options.rounds, _say_round)
    rows = min(len(table), reviews.CHUNK)
    print_rounds(chunk_rounds, query_rounds, rows, options.labels, device)
    both = [chunk | query for chunk, query in zip(chunk_rounds, query_rounds, strict=True)]
    facts = {"device": device, "chunk_documents": rows, "labels": options.labels}
    report.write_json(options.json, both, **facts)


@contextmanager
def _loaded(table: pd.DataFrame) -> Iterator[Engine]:
    """An engine on a database of its own that holds the rows as documents."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        EmbeddedServers(Path(scratch) / "home", redis=False) as servers,
        fresh_database(servers.database_url, "sql") as url,
    ):
        path = Path(scratch) / "rows.parquet"
        table.to_parquet(path)
        engine = make_engine(url)
        ingest(engine, "blog", find_files([path], ReadOptions()), zone=ZoneInfo("Asia/Seoul"))
        try:
            yield engine
        finally:
            engine.dispose()


class Bench:
    """One chunk after the other of a database that holds some."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with transaction(engine) as connection:
            found = connection.scalars(text("select id from chunk order by id"))
            self._chunks = [int(chunk) for chunk in found]
        self._turn = count()

    def read(self) -> float:
        """Seconds to read the texts of the next chunk."""
        chunk = self._next_chunk()
        start = time.perf_counter()
        with transaction(self._engine) as connection:
            documents.chunk_texts(connection, chunk)
        return time.perf_counter() - start

    def write(self, way: Callable[..., None]) -> float:
        """Seconds to write labels of a version of their own to the next chunk."""
        chunk = self._next_chunk()
        with transaction(self._engine) as connection:
            name = f"measured-{next(self._turn)}"
            version = versions.register_version(
                connection, name=name, store_path=name, checksums={}, metrics={}
            )
            connection.execute(text(RUNNING), {"chunk": chunk, "version": version})
            columns = label_ways.make_columns(documents.chunk_texts(connection, chunk).document_ids)
        start = time.perf_counter()
        way(self._engine, ScoringKey(chunk, version), columns)
        return time.perf_counter() - start

    def _next_chunk(self) -> int:
        return self._chunks[next(self._turn) % len(self._chunks)]


def print_rounds(
    chunk_rounds: list[dict[str, float]],
    query_rounds: list[dict[str, float]],
    documents_: int,
    labels: int,
    device: str,
) -> None:
    """The table: a chunk's statements with their shares, then the queries."""
    gpu_s = documents_ / GPU_DOCUMENTS_PER_S
    rows = []
    for name in chunk_rounds[0]:
        shares = ("", "")
        if name != LABELLING:
            cpu = spread(one[name] / (one[name] + one[LABELLING]) for one in chunk_rounds)
            gpu = spread(one[name] / gpu_s for one in chunk_rounds)
            shares = (cpu.show(".2%"), gpu.show(".1%"))
        rows.append((name, _milliseconds(spread_of(chunk_rounds, name)), *shares))
    rows += [
        (f"query: {name}", _milliseconds(spread_of(query_rounds, name)), "", "")
        for name in query_rounds[0]
    ]
    report.print_table(
        f"A chunk of {documents_:,} documents; queries over {labels:,} labels;"
        f" {len(chunk_rounds)} rounds, medians (least to most)",
        ("what", "ms", "share of a chunk's time", f"of one at {GPU_DOCUMENTS_PER_S:,}/s"),
        rows,
    )
    report.print_notes(f"Labelled on {device}.")


def _milliseconds(seconds: Spread) -> str:
    return Spread(*(1e3 * one for one in (seconds.median, seconds.least, seconds.most))).show(".1f")


def _say_round(number: int, gave: dict[str, float]) -> None:
    shown = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in gave.items())
    report.say(f"round {number}: {shown}")


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, rounds=7, device=True)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--chunks", type=int, default=16, help="that are read and written in turn")
    parser.add_argument("--labels", type=int, default=1_000_000, help="that the queries are over")
    return parser.parse_args()


if __name__ == "__main__":
    main()
