"""`nifos rescore` and `nifos models rollback` as functions: what they refuse, and what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cli.commands.rescore import rescore
from cli.commands.rollback import rollback
from core.errors import InputError, ModelError, NifosError
from db import versions
from db.engine import Engine, transaction
from sentiment.store import Store
from tests.crawls import load_posts
from tests.published import publish_version
from tests.tiny_version import build_tiny_version


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def store(
    engine: Engine,
    database_url: str,
    broker_url: str,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A store with `one` and then `two`, which is active, and 40 documents of twenty days."""
    monkeypatch.setenv("NIFOS_DATABASE_URL", database_url)
    monkeypatch.setenv("NIFOS_BROKER_URL", broker_url)
    monkeypatch.setenv("NIFOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NIFOS_MODEL_STORE", str(tmp_path / "store"))
    for name in ("one", "two"):
        store = Store(str(tmp_path / "store"), tmp_path / "cache")
        publish_version(engine, store, made, name)
    load_posts(engine, tmp_path, 40)
    return tmp_path / "store"


def _wanted(engine: Engine) -> list[str]:
    with transaction(engine) as connection:
        return list(
            connection.scalars(
                text("select v.name from chunk c join version v on v.id = c.wanted_version_id")
            )
        )


def _damage(store: Path, name: str) -> None:
    weights = store / name / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "twitter"}, "no source twitter"),
        ({"version": "three"}, "no version three"),
        ({"since": "2026-13-01"}, "--since must be a date such as 2026-11-01"),
        ({"until": "어제"}, "--until must be a date"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "is after --until"),
    ],
)
def test_what_cannot_be_asked_for(store: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rescore(**options)


def test_nothing_matches(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rescore(since="2030-01-01", wait=True)
    assert capsys.readouterr().out == "no stored document matches: nothing to label again\n"


def test_documents_that_share_a_chunk_are_told(
    engine: Engine, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rescore(until="2026-11-02", version="one")
    said = capsys.readouterr().out
    assert "40 documents in 1 chunks match; by one:" in said
    assert "4 were written on those days, 36 share a chunk with one of them" in said
    assert "40 are to be labelled, behind new crawls" in said
    assert _wanted(engine) == ["one"]
    rescore(until="2026-11-02", version="one", json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["documents"], told["sharing_a_chunk"]) == (40, 36)
    assert told["under_way"] == {"chunks": 1, "documents": 40}


def test_a_damaged_version_labels_nothing_again(engine: Engine, store: Path) -> None:
    _damage(store, "one")
    with pytest.raises(ModelError, match="damaged"):
        rescore(version="one")
    assert _wanted(engine) == ["two"]


def test_a_damaged_version_is_no_way_back(engine: Engine, store: Path) -> None:
    _damage(store, "one")
    with pytest.raises(ModelError, match="damaged"):
        rollback()
    assert _wanted(engine) == ["two"]
    with transaction(engine) as connection:
        assert len(versions.list_activations(connection, 9)) == 2


def test_the_way_back_has_an_end(
    engine: Engine, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rollback(why="중립이 사라짐")
    said = capsys.readouterr().out
    assert said.startswith("one is active again, two is not\n")
    assert "40 documents in 1 chunks have none from before it: one labels them" in said
    assert _wanted(engine) == ["one"]
    with pytest.raises(NifosError, match="no version was active before one"):
        rollback()
    with transaction(engine) as connection:
        newest = versions.list_activations(connection, 1)[0]
    assert (newest.version, newest.previous, newest.why) == ("one", "two", "중립이 사라짐")
    assert newest.who
