"""How a version is loaded: as it was tuned, unless something else is set or that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from db import versions
from db.engine import Engine, transaction
from sentiment.classifier import Classifier
from sentiment.store import Store, verify
from sentiment.tuning import TUNING, Tuning, write_tuning
from tests.tiny_version import build_tiny_version
from worker.loaded import HowToLoad, LoadedVersions

TUNED = Tuning("torch", "fp32", 64, 1, 1_000.0, "2026-11-25T00:00:00+00:00")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def version_id(engine: Engine, made: Path, tmp_path: Path) -> int:
    Store(str(tmp_path / "store"), tmp_path / "cache").publish(made, "tiny")
    with transaction(engine) as connection:
        return versions.register_version(
            connection,
            name="tiny",
            store_path="tiny",
            checksums=verify(made).checksums(),
            metrics={},
        )


def _load(
    engine: Engine, tmp_path: Path, version_id: int, *, precision: str = "auto"
) -> Classifier:
    store = Store(str(tmp_path / "store"), tmp_path / "cache")
    how = HowToLoad("cpu", batch_tokens=None, threads=1, precision=precision, home=tmp_path)
    return LoadedVersions(engine, store, how).get(version_id)


def test_a_version_is_loaded_as_it_was_tuned(
    engine: Engine, tmp_path: Path, version_id: int
) -> None:
    write_tuning(tmp_path, "tiny", TUNED, device="cpu")
    classifier = _load(engine, tmp_path, version_id)
    assert (classifier.facts.engine, classifier.facts.precision) == ("torch", "fp32")
    assert classifier.facts.why == "asked for"
    assert classifier.predict(["재미있었다"] * 9).work.texts == 1


def test_what_is_set_goes_before_what_was_tuned(
    engine: Engine, tmp_path: Path, version_id: int
) -> None:
    write_tuning(tmp_path, "tiny", replace(TUNED, precision="bf16"), device="cpu")
    assert _load(engine, tmp_path, version_id, precision="fp32").facts.precision == "fp32"


@pytest.mark.parametrize("held", [None, "{"])
def test_tuning_that_cannot_be_used_keeps_nobody_from_labelling(
    engine: Engine, tmp_path: Path, version_id: int, held: str | None
) -> None:
    # No CPU computes fp16: as with an extra that was there when it was tuned.
    write_tuning(tmp_path, "tiny", replace(TUNED, precision="fp16"), device="cpu")
    if held is not None:
        (tmp_path / TUNING).write_text(held)
    assert _load(engine, tmp_path, version_id).facts.why != "asked for"
