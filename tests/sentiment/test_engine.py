"""Files with the right checksums that still make no model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.engines.loading import load_tokenizer
from tests.tiny_version import TEXTS, build_tiny_version


def _vouch(version: Path) -> Path:
    """Write the manifest anew over files that were changed by hand."""
    manifest = json.loads((version / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (version / name).read_bytes()
        record = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest["files"][name] = record
    (version / "manifest.json").write_text(json.dumps(manifest))
    return version


def _without_head(version: Path) -> None:
    weights = load_file(version / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(kept, version / "model.safetensors", metadata={"format": "pt"})


def _cut_weights(version: Path) -> None:
    path = version / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def _small_vocabulary(version: Path) -> None:
    weights = load_file(version / "model.safetensors")
    name = "electra.embeddings.word_embeddings.weight"
    weights[name] = weights[name][:20].clone()
    save_file(weights, version / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((version / "config.json").read_text())
    (version / "config.json").write_text(json.dumps(config | {"vocab_size": 20}))


def _no_tokenizer(version: Path) -> None:
    (version / "tokenizer.json").write_text("{}")


def _other_labels(version: Path) -> None:
    config = json.loads((version / "config.json").read_text())
    config["id2label"] = {"0": "positive", "1": "neutral", "2": "negative"}
    (version / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_without_head, r"model\.safetensors lacks classifier"),
        (_cut_weights, "cannot be loaded"),
        (_small_vocabulary, "more tokens than the model"),
        (_no_tokenizer, "no tokenizer"),
        (_other_labels, "the model's labels"),
    ],
)
def test_what_is_no_model_is_refused(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    version = build_tiny_version(tmp_path / "version")
    damage(version)
    with pytest.raises(ModelError, match=words) as raised:
        Classifier.load(_vouch(version), device="cpu")
    assert "\n" not in str(raised.value)


def test_special_tokens_in_a_text_are_text(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(build_tiny_version(tmp_path / "version"))
    special = {tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]", "[MASK]")}
    ids = tokenizer.encode(f"[SEP] {TEXTS[0]} [PAD][CLS] [MASK]", add_special_tokens=False).ids
    assert not special & set(ids)
