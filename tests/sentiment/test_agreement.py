"""An engine that says something else than fp32 is not used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import structlog
import torch

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.device import describe
from sentiment.engines import load
from sentiment.engines.agreement import Agreement, check_texts, measure, what_is_wrong
from sentiment.engines.foreseen import UNCHECKED
from sentiment.engines.forward import Forward, make_forward
from sentiment.manifest import MANIFEST, Tolerance, parse_manifest
from sentiment.text import is_blank, prepare
from tests.tiny_version import TEXTS, build_tiny_version

TOLERANCE = Tolerance(difference=0.1, flips=0.5)


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # As on a CPU with bf16, whatever CPU the tests run on.
    monkeypatch.setattr("sentiment.device.has_bf16", lambda device: True)
    return build_tiny_version(tmp_path / "tiny")


def _spoil_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that turns the labels round, in bf16 alone."""

    def spoilt(model: torch.nn.Module) -> Forward:
        forward = make_forward(model)  # type: ignore[arg-type]
        if model.dtype != torch.bfloat16:
            return forward
        return lambda ids, mask: -forward(ids, mask)

    monkeypatch.setattr(load, "make_forward", spoilt)


def test_what_is_measured() -> None:
    exact = np.array([[0.8, 0.1, 0.1], [0.34, 0.33, 0.33], [0.2, 0.5, 0.3]])
    found = np.array([[0.78, 0.12, 0.1], [0.32, 0.35, 0.33], [0.2, 0.3, 0.5]])
    # The second text is nobody's: one label is as right as the other.
    agreement = measure(exact, found)
    assert agreement.difference == pytest.approx(0.2)
    assert (agreement.flips, agreement.texts) == (1, 3)
    assert measure(exact, np.full((3, 3), np.nan)).difference == 1


@pytest.mark.parametrize(
    ("agreement", "right"),
    [
        (Agreement(0.1, 1, 2), True),
        (Agreement(0.11, 0, 2), False),
        (Agreement(0.01, 2, 2), False),
    ],
)
def test_what_is_within_the_tolerance(agreement: Agreement, right: bool) -> None:
    assert (what_is_wrong(agreement, TOLERANCE) is None) is right


def test_auto_takes_the_next_and_says_why(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _spoil_bf16(monkeypatch)
    with structlog.testing.capture_logs() as logs:
        classifier = Classifier.load(version, device="cpu")
    assert (classifier.facts.engine, classifier.facts.precision) == ("torch", "fp32")
    assert "torch in bf16 disagrees with fp32" in classifier.facts.why
    assert [entry["event"] for entry in logs] == ["engine_refused", "engine_chosen"]
    assert logs[1]["precision"] == "fp32"
    assert logs[1]["version"] == version.name


def test_what_was_kept_of_the_check_is_told_without_a_load(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"

    def told(precision: str = "auto") -> str:
        return describe("cpu", precision, "auto", str(version), str(cache))

    assert told() == f"cpu, torch in bf16 (this CPU computes bf16 itself; {UNCHECKED})"
    _spoil_bf16(monkeypatch)
    facts = Classifier.load(version, device="cpu", cache=cache).facts
    assert told() == f"cpu, torch in fp32 ({facts.why})"
    assert "disagrees with fp32" in facts.why
    with pytest.raises(ModelError, match=r"off by .* takes another"):
        told("bf16")
    monkeypatch.setattr(load, "make_forward", make_forward)
    (kept,) = cache.glob("*/agreement-*.json")
    kept.unlink()
    Classifier.load(version, device="cpu", cache=cache)
    assert told() == "cpu, torch in bf16 (this CPU computes bf16 itself)"
    assert told("fp32") == "cpu, torch in fp32 (asked for)"
    by_tune = describe("cpu", "bf16", "torch", str(version), str(cache), "tuned")
    assert by_tune == "cpu, torch in bf16 (tuned)"


def test_what_was_asked_for_is_refused_with_figures(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil_bf16(monkeypatch)
    with pytest.raises(ModelError) as refused:
        Classifier.load(version, device="cpu", precision="bf16")
    assert re.search(r"off by 0\.\d{3}, \d+ of 3\d\d labels change", str(refused.value))
    assert refused.value.exit_code == 4
    assert not any(text in str(refused.value) for text in check_texts() if len(text) > 3)


def test_the_tolerance_is_the_versions_own(version: Path) -> None:
    assert Classifier.load(version, device="cpu", precision="bf16").facts.why == "asked for"
    manifest = json.loads((version / MANIFEST).read_text())
    manifest["tolerances"]["bf16"] = {"difference": 1e-9, "flips": 0}
    (version / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="disagrees"):
        Classifier.load(version, device="cpu", precision="bf16")


def test_a_manifest_from_before_tolerances_has_the_usual_ones(version: Path) -> None:
    manifest = json.loads((version / MANIFEST).read_text())
    del manifest["tolerances"]
    old = parse_manifest(json.dumps(manifest).encode(), "old")
    assert old.tolerance("fp32").difference < old.tolerance("bf16").difference
    assert old.tolerance("bf16").difference < old.tolerance("int8").difference


def test_the_check_is_made_once_for_a_version(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    before = Classifier.load(version, device="cpu", cache=cache)
    (kept,) = cache.glob("*/agreement-torch-*-bf16-*.json")

    def fail(*_: object) -> None:
        raise AssertionError("checked again")

    with monkeypatch.context() as patched:
        patched.setattr(load, "measure", fail)
        after = Classifier.load(version, device="cpu", cache=cache)
        assert after.facts == before.facts
        after.predict(TEXTS)
        # Another version's weights are checked for themselves, and so is what nobody can read.
        with pytest.raises(AssertionError, match="checked again"):
            Classifier.load(build_tiny_version(tmp_path / "b", seed=1), device="cpu", cache=cache)
        kept.write_text("{")
        with pytest.raises(AssertionError, match="checked again"):
            Classifier.load(version, device="cpu", cache=cache)
    Classifier.load(version, device="cpu", cache=cache)
    assert json.loads(kept.read_text())["texts"] == len(check_texts())


def test_fp32_itself_is_not_checked(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "measure", None)
    assert Classifier.load(version, device="cpu", precision="fp32").facts.precision == "fp32"


def test_a_cache_that_cannot_be_written_stops_no_worker(version: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert Classifier.load(version, device="cpu", cache=tmp_path / "cache").facts


def test_the_check_texts_are_many_and_of_all_lengths() -> None:
    texts = check_texts()
    assert 280 <= len(texts) == len(set(texts))
    assert not any(is_blank(text) for text in texts)
    lengths = [len(prepare(text)) for text in texts]
    assert min(lengths) == 1
    assert sum(length > 100 for length in lengths) >= 10
