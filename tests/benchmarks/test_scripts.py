"""Every script runs, in small, and prints its table."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sqlalchemy import text

from benchmarks import (
    batch_shapes,
    document_keys,
    end_to_end,
    intake,
    numerics,
    reposts,
    sql,
    steady,
    tfidf_baseline,
    training,
)
from cli.embedded import EmbeddedServers
from db.engine import Engine, transaction
from tests.benchmarks.conftest import ROWS
from tests.benchmarks.crew_here import CrewHere
from tests.scored import World


class Bench:
    """Runs a script's `main` and reads its table."""

    def __init__(self, path: Path, tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._data = path
        self._json = tmp / "rounds.json"
        self._capsys = capsys

    def __call__(self, script: ModuleType, *options: object) -> list[dict[str, str]]:
        words = ["--data", self._data, "--json", self._json, *options]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [script.__name__, *map(str, words)])
            script.main()
        assert json.loads(self._json.read_text())["rounds"]
        printed = self._capsys.readouterr().out
        header, _line, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in printed.splitlines()
            if line.startswith("|")
        ]
        assert rows
        assert all(len(row) == len(header) for row in rows)
        return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.fixture
def bench(reviews_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(reviews_file, tmp_path, capsys)


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers) -> None:
    """The tests' server instead of one more."""
    for module in (document_keys, intake, sql):
        monkeypatch.setattr(module, "EmbeddedServers", lambda *_a, **_k: nullcontext(servers))


@pytest.mark.usefixtures("crews_here")
def test_reposts(bench: Bench, tiny: Path) -> None:
    rows = bench(reposts, "--version", tiny, "--rows", 200, "--rounds", 1, "--device", "cpu")
    shares = {row["scored"]: row["share of the documents"] for row in rows}
    assert shares[reposts.EACH] == "100.0%"
    assert 50 < float(shares[reposts.ONCE].strip("%")) < 90


def test_a_crawl_with_reposts_is_as_long_as_one_without() -> None:
    texts = [f"text {n}" for n in range(4_000)]
    lengths = np.random.default_rng(0).integers(3, 9, len(texts))
    crawl, without = reposts.make_crawls(texts, lengths, 2_000, 0.3)
    assert len(crawl) == len(without) == len(set(without)) == 2_000
    assert 0.65 < len(set(crawl)) / 2_000 < 0.75
    length_of = dict(zip(texts, lengths.tolist(), strict=True))
    assert [length_of[text] for text in crawl] == [length_of[text] for text in without]


@pytest.mark.usefixtures("crews_here")
def test_numerics(bench: Bench, tiny: Path) -> None:
    (row,) = bench(numerics, "--version", tiny, "--device", "cpu", "--processes", 1)
    assert row["engine"] == "torch fp32"
    assert row["flips"] == "0.00%"
    assert 0 <= float(row["accuracy"]) <= 1


def test_numerics_counts_flips_and_points() -> None:
    exact = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]], np.float32)
    other = np.array([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.1, 0.2, 0.7]], np.float32)
    found = numerics.compare("other", other, exact, np.array([0, 1, 0]))
    assert found["flips"] == pytest.approx(1 / 3)
    assert found["against_fp32"] == pytest.approx(-1 / 3)
    assert found["largest"] == pytest.approx(0.3)


def test_steady(bench: Bench) -> None:
    """A real worker: its chunks and its memory."""
    (row,) = bench(steady, "--rows", ROWS, "--device", "cpu")
    assert row["documents"] == f"to {ROWS:,}"
    assert float(row["resident memory, MB"].replace(",", "")) > 100


def test_steady_compares_the_first_block_with_the_last() -> None:
    chunk = {"documents": 10.0, "tokens": 100.0, "memory_mb": 500.0}
    chunks = [chunk | {"seconds": 1.0 + number} for number in range(30)]
    blocks = steady.in_blocks(chunks)
    assert len(blocks) == steady.BLOCKS
    assert (blocks[0]["documents_per_s"], blocks[0]["until"]) == (5.0, 30)  # the median of three
    assert blocks[-1]["tokens_per_s"] == pytest.approx(100 / 29)


def test_batch_shapes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_shapes, "CHUNK", 40)
    rows = bench(batch_shapes, "--rows", ROWS)
    assert len(rows) == 3
    for row in rows:
        assert 0 < int(row["shapes after the first chunk"]) <= int(row["all"])
        assert 0 <= float(row["padding"].rstrip("%")) < 90


@pytest.mark.usefixtures("crews_here", "own_server")
def test_sql(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "make_bare", lambda _device: len)
    rows = bench(sql, "--rounds", 1, "--labels", 2_000)
    assert len(rows) == 2 + len(sql.WAYS) + len(sql.analysts.ASKED)
    assert all(re.match(r"\d", row["ms"]) for row in rows)


@pytest.mark.usefixtures("own_server")
def test_document_keys(bench: Bench) -> None:
    rows = bench(document_keys, "--rounds", 1, "--rows", ROWS)
    assert [row["ratio"][:4] for row in rows if "neither" in row.values()] == ["1.00"]


def test_the_route_is_asked_what_its_workers_noted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = dict.fromkeys(end_to_end.PARTS, 0.5)
    route = {"work_s": 4.0, "start_up_s": 1.0, **parts}
    monkeypatch.setattr(end_to_end, "measure_route", lambda *_a: route)
    monkeypatch.setattr(end_to_end, "Crew", CrewHere)
    monkeypatch.setattr(end_to_end, "make_bare", lambda _device: len)
    rows = bench(end_to_end, "--rounds", 1, "--processes", 1)
    assert [row["share of the route"] for row in rows[1:4]] == ["100.0%", "", "12.5%"]


def test_the_workers_notes_are_where_it_looks_for_them(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    world.version("v1")
    world.crawl("blog", 3)
    world.work()
    with transaction(engine) as connection:
        (span,) = connection.execute(text(end_to_end.SPAN)).all()
    assert span.n == 3
    assert span.write_s > 0
    assert set(end_to_end.PARTS) <= set(span._fields)


def test_the_route_ends_with_the_last_labels_not_with_their_fence(
    engine: Engine, tmp_path: Path
) -> None:
    world = World(engine, tmp_path)
    world.version("v1")
    for source in ("blog", "later"):
        world.crawl(source, 3)
    world.work()
    slow = "timings || jsonb_build_object('write_s', case when nth = 1 then 100 else 40 end)"
    with transaction(engine) as connection:
        # Two chunks fenced a minute and two after they began: the later one ends last by 20 s.
        connection.execute(
            text(
                "with ordered as (select chunk_id as id, row_number() over (order by chunk_id)"
                f" as nth from scoring) update scoring set timings = {slow},"
                " started_at = timestamptz 'epoch',"
                " finished_at = timestamptz 'epoch' + nth * interval '1 minute'"
                " from ordered where id = chunk_id"
            )
        )
        (span,) = connection.execute(text(end_to_end.SPAN)).all()
    assert float(span.work_s) == 160


def test_training(bench: Bench) -> None:
    shape = ("--layers", 1, "--width", 32, "--heads", 2)
    rows = bench(training, "--rounds", 1, "--rows", 128, "--device", "cpu", *shape)
    assert [row["side"] for row in rows] == ["original recipe", "this trainer"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tfidf(bench: Bench, reviews_file: Path) -> None:
    rows = bench(tfidf_baseline, "--test", reviews_file, "--rows", 300)
    assert rows[-1]["classifier"] == "starter"
    assert {row["trained on"] for row in rows} == {"300", "its card"}
    assert all(0 < float(row["calibration error"]) < 1 for row in rows)


@pytest.mark.usefixtures("own_server")
def test_intake(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_in_child", intake.load_one)
    rows = bench(intake, "--rounds", 1)
    assert rows[0]["share of the floor"] == "1.00"
    assert len(rows) == 11
    assert all(float(row["rows/s"].replace(",", "")) > 0 for row in rows)
