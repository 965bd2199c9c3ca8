"""The lean forward pass where oneDNN's operators, which are not public, are not there."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from sentiment.classifier import Classifier
from sentiment.engines import lean
from sentiment.engines.forward import make_forward
from sentiment.engines.loading import load_model
from tests.tiny_version import TEXTS, build_tiny_version


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return build_tiny_version(tmp_path / "tiny")


def test_without_them_bf16_is_computed_by_plain_products(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.device.has_bf16", lambda device: True)
    monkeypatch.setattr(lean, "_packs", lambda: False)
    model = load_model(version, padding_length=32, vocabulary=100).to(torch.bfloat16)  # type: ignore[arg-type]
    forward = make_forward(model)
    assert isinstance(forward, lean.LeanElectra)
    products = [forward._last.attended, forward._last.inner, *forward._last.attending]
    assert not any(product.packed for product in products)

    classifier = Classifier.load(version, device="cpu", precision="bf16", batch_tokens=64)
    assert (classifier.facts.engine, classifier.facts.precision) == ("torch", "bf16")
    found = classifier.predict(TEXTS)
    exact = Classifier.load(version, device="cpu", precision="fp32").predict(TEXTS)
    off = np.abs(found.probabilities - exact.probabilities).max()
    assert 0 < off < 0.02
    assert found.label_ids.tolist() == exact.label_ids.tolist()


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError])
def test_an_operator_that_is_gone_or_changed_is_found_out_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def gone(*_arguments: object, **_keywords: object) -> NoReturn:
        raise error("mkldnn::_linear_pointwise")

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(lean, "_times_plus", gone)
    assert lean._packs.__wrapped__() is False
