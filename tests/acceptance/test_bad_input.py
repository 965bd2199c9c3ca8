"""What a person does wrong gets one line that helps, and the exit code that DESIGN promises."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance.command import Nifos

EXAMPLE = "examples/crawl.jsonl"


def _is_one_line(stderr: str) -> bool:
    return stderr.count("\n") == 1 and "Traceback" not in stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("run", "gone.csv", "--source", "x"), 2, "gone.csv: no such file"),
        (("run", "docs", "--source", "x"), 2, "docs: a directory without data"),
        (("run", "README.md", "--source", "x"), 2, "not one of .csv"),
        (("run", "{no_text}", "--source", "x"), 2, "no text column among [a, b]"),
        (("run", EXAMPLE, "--source", " "), 2, "--source must not be empty"),
        (("run", EXAMPLE, "--source", "x", "--text-column", "y"), 2, "no column 'y' among [id,"),
        (("sql", "delete from label"), 2, "the query was refused"),
        (("sql", "selec"), 2, "syntax error"),
        (("sql", "--output", "x.pdf", "select 1"), 2, ".csv or .xlsx"),
        (("models", "activate", "best"), 2, "no version best"),
        (("forget", "99", "--yes"), 2, "no crawl 99"),
    ],
)
def test_wrong_input(
    standing: Nifos, tmp_path: Path, arguments: tuple[str, ...], exit_code: int, words: str
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    done = standing(*(word.format(no_text=tmp_path / "a.csv") for word in arguments))
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert words in done.stderr
    assert _is_one_line(done.stderr), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", EXAMPLE),
        ("frobnicate",),
        ("status", "--jsn"),
        ("sql", "--format", "x", "1"),
    ],
)
def test_wrong_usage(standing: Nifos, arguments: tuple[str, ...]) -> None:
    done = standing(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--help" in done.stderr
    assert _is_one_line(done.stderr), done.stderr


@pytest.mark.parametrize(
    ("variable", "url", "words"),
    [
        (
            "NIFOS_DATABASE_URL",
            "postgresql://u:hunter2@127.0.0.1:1/db",
            "PostgreSQL cannot be reached",
        ),
        ("NIFOS_DATABASE_URL", "postgresql://u:hunter2@10.255.255.1/db", "PostgreSQL cannot be"),
    ],
)
def test_an_unreachable_database_is_said_within_15_s(
    standing: Nifos, variable: str, url: str, words: str
) -> None:
    started = time.monotonic()
    done = standing("run", EXAMPLE, "--source", "x", **{variable: url})
    assert time.monotonic() - started < 15
    assert done.returncode == 3
    assert words in done.stderr
    assert "hunter2" not in done.stderr
    assert _is_one_line(done.stderr), done.stderr


@pytest.mark.parametrize("command", [("status",), ("run", EXAMPLE, "--source", "x"), ("worker",)])
def test_an_unreachable_redis_is_said_within_15_s(
    standing: Nifos, command: tuple[str, ...]
) -> None:
    started = time.monotonic()
    done = standing(*command, NIFOS_BROKER_URL="redis://:hunter2@127.0.0.1:1/0")
    assert time.monotonic() - started < 15
    assert done.returncode == 3
    assert "Redis cannot be used" in done.stderr
    assert "hunter2" not in done.stderr
    assert _is_one_line(done.stderr), done.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u@h/d", "must begin with postgresql://"),
        ("no url", "is not a URL"),
        ("postgresql://u:p@h:abc/db", "is not a URL"),
    ],
)
def test_a_url_of_something_else(standing: Nifos, url: str, words: str) -> None:
    done = standing("status", NIFOS_DATABASE_URL=url)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_damaged_model_is_named_before_anything_is_loaded(nifos: Nifos) -> None:
    assert nifos("models", "list").returncode == 0
    weights = nifos.home / "models" / "starter" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    done = nifos("run", EXAMPLE, "--source", "x")
    assert done.returncode == 4
    assert "model.safetensors is damaged" in done.stderr
    assert _is_one_line(done.stderr), done.stderr
    assert nifos("doctor").returncode == 4
    assert nifos.scalar("select count(*) from crawl") == 0


def test_a_gpu_that_is_not_there(standing: Nifos) -> None:
    done = standing("run", EXAMPLE, "--source", "x", NIFOS_DEVICE="RTX 9999")
    assert done.returncode == 4
    assert "RTX 9999" in done.stderr
    assert _is_one_line(done.stderr), done.stderr


def test_a_setting_that_is_wrong(standing: Nifos) -> None:
    done = standing("status", NIFOS_TIMEZONE="Asia/Pusan")
    assert done.returncode == 2
    assert "NIFOS_TIMEZONE" in done.stderr
    assert _is_one_line(done.stderr), done.stderr


def test_the_traceback_comes_only_when_asked_for(standing: Nifos) -> None:
    assert "Traceback" in standing("-v", "run", "gone.csv", "--source", "x").stderr


@pytest.mark.parametrize(
    "command",
    [
        *("run", "up", "enqueue", "status", "rejects", "sql", "migrate", "worker", "scheduler"),
        *("nightly", "models", "retry"),
    ],
)
def test_every_command_has_help(standing: Nifos, command: str) -> None:
    done = standing(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout
