"""The newcomer's way: one command, labels in SQL."""

from __future__ import annotations

import csv
import io
import os
import re
import time
from pathlib import Path

import openpyxl
import psutil
import pytest

from tests.acceptance.command import (
    SLOWLY,
    Nifos,
    wait_until,
    worker_children,
    worker_parents,
)
from tests.crawls import posts, write_jsonl

EXAMPLE = "examples/crawl.jsonl"
EXAMPLE_ROWS = 60


def test_the_demo_labels_everything_and_a_second_time_nothing(nifos: Nifos) -> None:
    a_process_a_core = {"NIFOS_WORKER_PROCESSES": ""}
    first = nifos.json("run", EXAMPLE, "--source", "demo", "--json", **a_process_a_core)
    assert first["read"] == first["accepted"] == first["labelled"] == EXAMPLE_ROWS
    assert (first["duplicate"], first["rejected"], first["failed"]) == (0, 0, 0)
    assert (first["chunks"], first["version"]) == (1, "starter")
    nifos.check_complete(EXAMPLE_ROWS)
    started = time.monotonic()
    second = nifos.json("run", EXAMPLE, "--source", "demo", "--json")
    assert time.monotonic() - started < 20
    assert (second["accepted"], second["duplicate"], second["labelled"]) == (0, EXAMPLE_ROWS, 0)
    nifos.check_complete(EXAMPLE_ROWS)


def test_what_a_person_sees(nifos: Nifos) -> None:
    done = nifos("run", EXAMPLE, "--source", "demo")
    assert done.returncode == 0, done.stderr
    for words in ("60 rows read", "부정", "중립", "긍정", "확률", "nifos sql", "nifos status"):
        assert words in done.stdout
    assert "Traceback" not in done.stderr
    status = nifos("status")
    assert "starter" in status.stdout
    for words in ("documents/s", "where the time goes"):
        assert words in status.stdout
    as_json = nifos.json("status", "--json")
    assert as_json["crawls"][0]["labelled"] == EXAMPLE_ROWS
    assert as_json["speed"][0]["engine"] == "torch"
    assert as_json["speed"][0]["documents_per_s"] > 0
    doctor = nifos("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "PROBLEM" not in doctor.stdout
    told = " ".join(doctor.stdout.split())  # its lines are folded
    assert re.search(r"by rule torch in \w+ \([\w: ]+ bf16", told)
    # Of the version, what its worker found: the reason, and no word of a check still to come.
    assert re.search(r"; [^;]+, torch in \w+ \([^;]+\); not tuned", told)
    assert nifos.json("models", "list", "--json")["versions"][0]["state"] == "active"


@pytest.mark.slow  # it converts and calibrates the starter
def test_a_person_who_waits_for_a_conversion_is_told_so_once(nifos: Nifos) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    arguments = ("run", EXAMPLE, "--source", "demo")
    first = nifos(*arguments, NIFOS_PRECISION="int8")
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("converting the model to int8") == 1
    assert nifos.scalar("select distinct precision from scoring") == "int8"
    assert "converting" not in nifos(*arguments, NIFOS_PRECISION="int8").stderr


def test_an_analyst_gets_the_labels_out(nifos: Nifos, tmp_path: Path) -> None:
    rows = [
        {"id": "=1+1", "text": '=HYPERLINK("x") 정말 좋았다'},
        {"id": "2", "text": '별로,\n"그저"'},
    ]
    nifos.json("run", write_jsonl(tmp_path / "a.jsonl", rows), "--source", "blog", "--json")
    query = "select external_id, text, label_ko, p_positive, written_at from sentiment order by 1"
    printed = nifos("sql", "--format", "csv", query).stdout
    table = list(csv.DictReader(io.StringIO(printed)))
    assert {row["text"] for row in table} == {row["text"] for row in rows}
    as_json = nifos.json("sql", "--format", "json", query)
    assert {row["label_ko"] for row in as_json} <= {"부정", "중립", "긍정"}
    for name in ("out.csv", "out.xlsx"):
        assert nifos("sql", "--output", tmp_path / name, query).returncode == 0
    saved = (tmp_path / "out.csv").read_bytes()
    assert saved.startswith(b"\xef\xbb\xbf")
    assert "'=HYPERLINK" in saved.decode("utf-8-sig")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    assert [cell.data_type for row in sheet.iter_rows(min_row=2, max_col=2) for cell in row] == [
        "s"
    ] * 4


def test_a_person_changes_her_mind(nifos: Nifos) -> None:
    crawl = nifos.json("run", EXAMPLE, "--source", "wrong-name", "--json")["crawl"]
    refused = nifos("forget", crawl)  # nobody says yes
    assert refused.returncode == 1
    assert nifos.scalar("select count(*) from document") == EXAMPLE_ROWS
    assert nifos("forget", crawl, "--yes").returncode == 0
    for table in ("document", "label", "scoring_daily", "scoring", "chunk", "crawl"):
        assert nifos.scalar(f"select count(*) from {table}") == 0
    assert nifos("forget", crawl, "--yes").returncode == 2
    again = nifos.json("run", EXAMPLE, "--source", "right-name", "--json")
    assert again["labelled"] == EXAMPLE_ROWS


def test_rejected_rows_are_counted_and_strict_minds_them(nifos: Nifos, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [*posts(3), {"id": "x", "text": ""}, "{"])
    done = nifos("run", path, "--source", "blog", "--json", "--strict")
    assert done.returncode == 1
    assert '"rejected": 2' in done.stdout
    assert nifos("enqueue", path, "--source", "blog", "--json").returncode == 0
    nifos.check_complete(3)


def test_a_file_without_rows_is_a_crawl_of_none(nifos: Nifos, tmp_path: Path) -> None:
    done = nifos("run", write_jsonl(tmp_path / "a.jsonl", []), "--source", "blog", "--json")
    assert done.returncode == 0
    assert '"read": 0' in done.stdout
    assert "no data row" in done.stderr


def test_enqueue_without_a_worker_keeps_the_crawl_and_says_so(nifos: Nifos) -> None:
    done = nifos("enqueue", EXAMPLE, "--source", "demo", "--wait")
    assert done.returncode == 3
    assert "no worker is alive" in done.stderr
    # What was enqueued is finished by the next run of the source, in the precision that is set.
    nifos.json("run", EXAMPLE, "--source", "demo", "--json", NIFOS_PRECISION="fp32")
    nifos.check_complete(EXAMPLE_ROWS)
    assert nifos.scalar("select string_agg(distinct precision, ' ') from scoring") == "fp32"


def test_nothing_is_left_running(nifos: Nifos) -> None:
    nifos.json("run", EXAMPLE, "--source", "demo", "--json")
    home = str(nifos.home)
    left = [
        process.pid
        for process in psutil.process_iter(["cmdline", "environ", "status"])
        if process.pid != os.getpid()
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and (
            home in " ".join(process.info["cmdline"] or [])
            or (process.info["environ"] or {}).get("NIFOS_HOME") == home
        )
    ]
    assert left == []


@pytest.mark.parametrize("signal_name", ["terminate", "kill"])
def test_the_workers_end_with_the_run(nifos: Nifos, tmp_path: Path, signal_name: str) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", posts(20_000))
    run = nifos.start("run", path, "--source", "blog", "--json", **SLOWLY)
    wait_until("workers start", lambda: len(worker_children(run)) == 2)
    processes = [*worker_parents(run), *worker_children(run)]
    assert {os.getpgid(process.pid) for process in processes} == {run.pid}
    getattr(run, signal_name)()
    run.wait()
    _gone, alive = psutil.wait_procs(processes, timeout=40)
    assert alive == []
