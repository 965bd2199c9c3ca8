r"""How fast crawls are taken in, beside `psql \copy` of the same rows: both from one run.

    python -m benchmarks.intake --data naver_reviews_train.parquet
    python -m benchmarks.intake --data naver_reviews_train.parquet --millions 10

The floor is the bare copy of a finished CSV into a table with the document table's primary key and
unique index: no checks, no hashes, no chunks. Intake checks the files, reads, checks, dedupes and
writes them in a process of its own, whose peak memory is printed; every load has an empty database.
With `--millions` the rows go in again and again under new ids instead, and the rate of each million
is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import psycopg

from benchmarks import report
from benchmarks.databases import fresh_database
from benchmarks.rounds import ratio, spread_of
from cli.embedded import EmbeddedServers
from cli.embedded_cluster import find_postgres
from db.engine import make_engine
from producer.crawl import ReadOptions, find_files
from producer.ingest import Progress, ingest

COLUMNS = ["id", "written_at", "text"]
FLOOR_TABLE = (
    "create table floor (id bigint generated always as identity primary key,"
    " source_id bigint not null default 1, external_id text not null, written_at timestamptz,"
    " text text not null, unique (source_id, external_id))"
)
FLOOR_NAME = r"`psql \copy`, the floor"
MILLION = 1_000_000


def main() -> None:
    options = _parse()
    table = pd.read_parquet(options.data, columns=COLUMNS).head(options.rows)
    with (
        tempfile.TemporaryDirectory() as scratch,
        EmbeddedServers(Path(scratch) / "home") as servers,
    ):
        bench = Bench(servers.database_url, Path(scratch))
        if options.millions:
            result: Any = bench.grow(table, options.millions)
        else:
            result = bench.compare(table, options.rounds)
    report.write_json(options.json, result, rows=len(table))


class Bench:
    """Databases on one server, and files made of one table."""

    def __init__(self, url: str, scratch: Path) -> None:
        self._url = url
        self._scratch = scratch

    def compare(self, table: pd.DataFrame, rounds: int) -> list[dict[str, Any]]:
        """Floor, then every form of file twice, each round anew."""
        files = write_files(table, self._scratch)
        copied = self._scratch / "floor.csv"
        table.to_csv(copied, index=False, header=False)
        measured: list[dict[str, Any]] = []
        for number in range(rounds):
            floor = len(table) / self._floor_s(copied)
            one: dict[str, Any] = {"floor": {"rate": floor}}
            for name, path in files.items():
                one[name], one[f"{name}, again"] = self._twice(path)
            measured.append(one)
            report.say(f"round {number + 1}: floor {floor:,.0f} rows/s")
        _print_comparison(measured, len(table))
        return measured

    def grow(self, table: pd.DataFrame, millions: int) -> dict[str, Any]:
        """One crawl of the same rows under ever new ids."""
        directory = self._scratch / "many"
        directory.mkdir()
        copies = -(-millions * MILLION // len(table))
        for copy in range(copies):
            under = table.assign(id=table["id"] + f"-{copy}")
            under.to_parquet(directory / f"{copy:03}.parquet", index=False)
        with fresh_database(self._url, "intake") as url:
            found = _in_child(url, directory)
        _print_growth(found)
        return found

    def _twice(self, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        with fresh_database(self._url, "intake") as url:
            first, second = _in_child(url, path), _in_child(url, path)
        if first["rejected"] or second["accepted"]:
            sys.exit(f"{path.name}: {first} and then {second}")
        return first, second

    def _floor_s(self, copied: Path) -> float:
        with fresh_database(self._url, "intake") as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(FLOOR_TABLE)
            command = rf"\copy floor (external_id, written_at, text) from '{copied}' csv"
            start = time.perf_counter()
            subprocess.run([find_postgres() / "psql", url, "-q", "-c", command], check=True)
            return time.perf_counter() - start


def write_files(table: pd.DataFrame, directory: Path) -> dict[str, Path]:
    """Write the same rows in every form. What CP949 does not know becomes `?` there."""
    files = {
        "Parquet": directory / "rows.parquet",
        "CSV": directory / "rows.csv",
        "CSV in CP949": directory / "cp949.csv",
        "JSON Lines": directory / "rows.jsonl",
        "CSV, gzip": directory / "rows.csv.gz",
    }
    table.to_parquet(files["Parquet"], index=False)
    table.to_csv(files["CSV"], index=False)
    table.to_csv(files["CSV in CP949"], index=False, encoding="cp949", errors="replace")
    table.to_json(
        files["JSON Lines"], orient="records", lines=True, force_ascii=False, date_format="iso"
    )
    table.to_csv(files["CSV, gzip"], index=False)
    return files


def _in_child(url: str, path: Path) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(load_one, (url, path))


def load_one(url: str, path: Path) -> dict[str, Any]:
    """Take a path in, in a fresh process: rows a second, peak memory, and when it had how many."""
    engine = make_engine(url)
    marks: list[tuple[int, float]] = []
    start = time.perf_counter()

    def mark(progress: Progress) -> None:
        marks.append((progress.counts.read, time.perf_counter() - start))

    files = find_files([path], ReadOptions())
    marks.append((0, time.perf_counter() - start))  # the files are hashed: rows begin
    loaded = ingest(engine, "blog", files, zone=ZoneInfo("Asia/Seoul"), on_progress=mark)
    seconds = time.perf_counter() - start
    engine.dispose()
    return {
        **loaded.counts.__dict__,
        "rate": loaded.counts.read / seconds,
        "peak_mb": peak_mb(),
        "marks": marks,
    }


def peak_mb() -> float:
    """The most memory that this process has held: its own, not that of the one it came from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _print_comparison(measured: list[dict[str, Any]], rows: int) -> None:
    rates = [{name: of["rate"] for name, of in one.items()} for one in measured]
    shown = []
    for name in measured[0]:
        peaks = [one[name]["peak_mb"] for one in measured if "peak_mb" in one[name]]
        shown.append(
            (
                FLOOR_NAME if name == "floor" else name,
                f"{spread_of(rates, name).median:,.0f}",
                ratio(rates, name, "floor").show(".2f"),
                f"{max(peaks):.0f}" if peaks else "",
            )
        )
    report.print_table(
        f"{rows:,} rows, {len(measured)} rounds, medians (least to most)",
        ("what", "rows/s", "share of the floor", "peak memory, MB"),
        shown,
    )
    report.print_notes()


def _print_growth(found: dict[str, Any]) -> None:
    rates: list[tuple[int, float]] = []
    before, *marks = found["marks"]
    for rows, seconds in marks:
        if rows // MILLION > before[0] // MILLION:
            rates.append((rows // MILLION, (rows - before[0]) / (seconds - before[1])))
            before = (rows, seconds)
    report.print_table(
        f"{found['read']:,} rows in one crawl",
        ("million", "rows/s"),
        [(f"{million}", f"{rate:,.0f}") for million, rate in rates],
    )
    report.print_notes(
        f"Last / first: {rates[-1][1] / rates[0][1]:.2f}; {found['rate']:,.0f} rows/s in all;"
        f" peak memory {found['peak_mb']:.0f} MB."
    )


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--rows", type=int, default=None, help="the first so many; all by default")
    parser.add_argument("--millions", type=int, default=0, help="grow to so many million rows")
    return parser.parse_args()


if __name__ == "__main__":
    main()
