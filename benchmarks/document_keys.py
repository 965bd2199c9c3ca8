r"""What it costs to make sure that a document has its chunk: a key a row, a trigger a statement.

    python -m benchmarks.document_keys --data naver_reviews_train.parquet

The same rows are copied, in slices of 32,768, into the document table as it is, with its trigger;
with the two foreign keys that it had before; and with nothing of the kind.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv

from benchmarks import report
from benchmarks.databases import fresh_database
from benchmarks.rounds import interleave, ratio, spread_of
from cli.embedded import EmbeddedServers
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
    with (
        tempfile.TemporaryDirectory() as scratch,
        EmbeddedServers(Path(scratch) / "home", redis=False) as servers,
    ):
        sides = {
            name: partial(measure, servers.database_url, change, slices)
            for name, change in VARIANTS.items()
        }
        rounds = interleave(sides, options.rounds)
    report.print_table(
        f"{options.rows:,} rows, {options.rounds} rounds, medians (least to most)",
        ("a document's chunk is made sure of by", "microseconds a row", "ratio"),
        [
            (
                name,
                f"{1e6 * spread_of(rounds, name).median / options.rows:.2f}",
                ratio(rounds, name, "neither").show(".2f"),
            )
            for name in VARIANTS
        ],
    )
    report.print_notes()
    report.write_json(options.json, rounds, rows=options.rows)


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


def measure(server_url: str, change: str, slices: list[bytes]) -> float:
    """Seconds to copy all slices into a fresh database, each committed."""
    with (
        fresh_database(server_url, "keys") as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute("insert into source (name) values ('blog')")
        connection.execute("insert into crawl (source_id) values (1)")
        connection.execute("insert into chunk (crawl_id, n_documents) values (1, 1)")
        if change:
            connection.execute(change)
        start = time.perf_counter()
        for csv in slices:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.write(csv)
        return time.perf_counter() - start


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, rounds=5)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--rows", type=int, default=400_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
