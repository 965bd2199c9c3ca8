"""What OpenVINO's forms are made from. The libraries are stand-ins: whether they work is theirs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sentiment.engines import convert
from sentiment.engines.agreement import check_texts
from sentiment.engines.conversion import INT8
from sentiment.engines.loading import load_tokenizer
from sentiment.text import prepare
from sentiment.windows import encode
from tests.tiny_version import build_tiny_version


def test_int8_is_calibrated_on_every_check_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = build_tiny_version(tmp_path / "tiny")
    calls: list[dict[str, Any]] = []

    def quantize(made: object, data: list[np.ndarray], **options: Any) -> object:
        calls.append({"data": data, **options})
        return made

    nncf = SimpleNamespace(
        Dataset=list, quantize=quantize, ModelType=SimpleNamespace(TRANSFORMER="transformer")
    )
    openvino = SimpleNamespace(
        convert_model=lambda *_a, **_k: "made",
        save_model=lambda *_a, **_k: None,
        Type=SimpleNamespace(i32="i32"),
    )
    monkeypatch.setattr(convert, "import_nncf", lambda: nncf)
    monkeypatch.setattr(convert, "import_openvino", lambda: openvino)
    convert.convert(version, tmp_path, INT8)

    (call,) = calls
    assert call["model_type"] == "transformer"
    assert call["subset_size"] == len(call["data"])  # NNCF takes the first of them only
    rows = [tuple(row[row != 0]) for batch in call["data"] for row in batch]
    texts = [prepare(text) for text in check_texts()]
    windows = encode(load_tokenizer(version), texts, 32)
    assert windows.pad == 0
    assert set(windows.owners.tolist()) == set(range(len(check_texts())))
    whole = [tuple(windows.padded(np.array([place]))[0]) for place in range(len(windows))]
    assert sorted(rows) == sorted(whole)
