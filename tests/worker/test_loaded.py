"""How a version is loaded: as it was tuned, unless something else is set or that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import DeviceError
from db.engine import Engine
from sentiment.classifier import Classifier
from sentiment.store import Store
from sentiment.tuning import TUNING, Tuning, write_tuning
from tests.published import publish_version
from tests.tiny_version import build_tiny_version
from worker.loaded import HowToLoad, LoadedVersions

TUNED = Tuning("torch", "fp32", 64, 1, 1_000.0, "2026-11-25T00:00:00+00:00")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def version_id(engine: Engine, made: Path, tmp_path: Path) -> int:
    store = Store(str(tmp_path / "store"), tmp_path / "cache")
    return publish_version(engine, store, made, "tiny", active=False).id


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
    assert classifier.facts.why == "tuned"
    assert classifier.predict(["재미있었다"] * 9).work.texts == 1


def test_what_is_set_goes_before_what_was_tuned(
    engine: Engine, tmp_path: Path, version_id: int
) -> None:
    write_tuning(tmp_path, "tiny", replace(TUNED, precision="bf16"), device="cpu")
    facts = _load(engine, tmp_path, version_id, precision="fp32").facts
    assert (facts.precision, facts.why) == ("fp32", "asked for")


@pytest.mark.parametrize("held", [None, "{"])
def test_tuning_that_cannot_be_used_keeps_nobody_from_labelling(
    engine: Engine, tmp_path: Path, version_id: int, held: str | None
) -> None:
    # No CPU computes fp16: as with an extra that was there when it was tuned.
    write_tuning(tmp_path, "tiny", replace(TUNED, precision="fp16"), device="cpu")
    if held is not None:
        (tmp_path / TUNING).write_text(held)
    assert _load(engine, tmp_path, version_id).facts.why not in ("asked for", "tuned")


def test_a_gpu_that_failed_is_not_tried_again_without_what_was_tuned(
    engine: Engine, tmp_path: Path, version_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def broken(*_arguments: object, **_keywords: object) -> None:
        asked.append(1)
        raise DeviceError("the GPU failed")

    write_tuning(tmp_path, "tiny", TUNED, device="cpu")
    monkeypatch.setattr(Classifier, "load", broken)
    with pytest.raises(DeviceError):
        _load(engine, tmp_path, version_id)
    assert len(asked) == 1
