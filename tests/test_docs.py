"""The documents say what is so: commands exist and run, links lead somewhere, READMEs agree."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from cli.main import make_app
from tests.acceptance.command import REPOSITORY, Nifos

READMES = ("README.md", "README.ko.md")
DOCUMENTS = [*READMES, "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def _command_lines(name: str) -> list[str]:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


@pytest.fixture
def nifos(tmp_path: Path) -> object:
    command = Nifos(tmp_path / "home")
    yield command
    command.end()


@pytest.mark.parametrize("name", READMES)
def test_every_command_is_documented_and_every_documented_one_exists(name: str) -> None:
    commands = set(get_command(make_app()).commands)  # type: ignore[attr-defined]
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    documented = set(re.findall(r"nifos ([a-z]+)", text))
    assert documented == commands


def test_both_readmes_show_the_same_use() -> None:
    shown = [
        [line for line in _command_lines(name) if line.startswith("nifos ")] for name in READMES
    ]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("name", READMES)
def test_make_targets_in_the_readme_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", (REPOSITORY / name).read_text()))
    assert {"demo", "test"} <= named
    assert {word for word in named if word in _command_words(name)} <= targets


def _command_words(name: str) -> set[str]:
    return {word for line in _command_lines(name) for word in line.split()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    assert all((REPOSITORY / target).exists() for target in targets), targets


def _queries(name: str) -> list[str]:
    """What stands in blocks of SQL: each may have several lines, and ends with a semicolon."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    blocks = [block for block in text.split("\n\n") if block.startswith("    select ")]
    code = "\n".join(re.sub("--.*", "", block) for block in blocks)
    return [statement.strip() for statement in code.split(";") if statement.strip()]


def test_the_commands_of_the_readme_run_as_they_stand(
    nifos: Nifos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for line in _command_lines("README.md") if line.startswith("nifos ")]
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line.replace("result.xlsx", str(tmp_path / "result.xlsx")))
        done = nifos(*words[1:])
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "result.xlsx").stat().st_size > 1_000
    queries = _queries("README.md")
    assert len(queries) == 4
    for query in queries:
        done = nifos("sql", query)
        assert done.returncode == 0, (query, done.stderr)
