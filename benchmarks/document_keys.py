r"""What it costs to make sure that a document has its chunk: a key a row, a trigger a statement.

    python -m benchmarks.document_keys --data naver_reviews_train.parquet

The same rows are copied, in slices of 32,768, into the document table as it is, with its trigger;
with the two foreign keys that it had before; and with nothing of the kind.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv

from cli.embedded import EmbeddedServers
from db.engine import make_engine
from db.migrate import migrate
from producer.slices import SLICE_ROWS

WITHOUT = "alter table document disable trigger document_chunk_fk"
WITH_KEYS = (
    f"{WITHOUT};"
    " alter table document add constraint chunk_key foreign key (chunk_id) references chunk;"
    " alter table document add constraint source_key foreign key (source_id) references source"
)
VARIANTS = {"neither": WITHOUT, "a trigger a statement": "", "two foreign keys": WITH_KEYS}
COPY = (
    "copy document (external_id, written_at, text, source_id, chunk_id, text_hash) from stdin csv"
)


def main() -> None:
    options = _parse()
    slices = make_slices(pd.read_parquet(options.data).head(options.rows))
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with (
        tempfile.TemporaryDirectory() as scratch,
        EmbeddedServers(Path(scratch) / "home", redis=False) as servers,
    ):
        for _round in range(options.rounds):
            for name in random.sample(list(VARIANTS), len(VARIANTS)):
                seconds[name].append(measure(servers.database_url, VARIANTS[name], slices))
    _print(seconds, options.rows)


def make_slices(table: pd.DataFrame) -> list[bytes]:
    """The rows as COPY takes them, all of one chunk."""
    rows = table[["id", "written_at", "text"]].assign(source=1, chunk=1, text_hash=r"\x00")
    slices = []
    for start in range(0, len(rows), SLICE_ROWS):
        part = pa.Table.from_pandas(rows.iloc[start : start + SLICE_ROWS], preserve_index=False)
        csv = pa.BufferOutputStream()
        pyarrow.csv.write_csv(part, csv, pyarrow.csv.WriteOptions(include_header=False))
        slices.append(csv.getvalue().to_pybytes())
    return slices


def measure(url: str, change: str, slices: list[bytes]) -> float:
    """Seconds to copy all slices into a fresh database, each committed."""
    head, _, query = url.partition("?")
    fresh = f"{head.rpartition('/')[0]}/keys?{query}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("create database keys")
        engine = make_engine(fresh)
        migrate(engine)
        engine.dispose()
        with psycopg.connect(fresh, autocommit=True) as connection:
            connection.execute("insert into source (name) values ('blog')")
            connection.execute("insert into crawl (source_id) values (1)")
            connection.execute("insert into chunk (crawl_id, n_documents) values (1, 1)")
            if change:
                connection.execute(change)
            start = time.perf_counter()
            for csv in slices:
                with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                    copy.write(csv)
            seconds = time.perf_counter() - start
        server.execute("drop database keys with (force)")
        server.execute("checkpoint")
    return seconds


def _print(seconds: dict[str, list[float]], rows: int) -> None:
    sys.stdout.write("| a document's chunk is made sure of by | microseconds a row | ratio |\n")
    sys.stdout.write("|---|---|---|\n")
    for name, each in seconds.items():
        ratios = [a / b for a, b in zip(each, seconds["neither"], strict=True)]
        sys.stdout.write(
            f"| {name} | {1e6 * statistics.median(each) / rows:.2f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |\n"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
