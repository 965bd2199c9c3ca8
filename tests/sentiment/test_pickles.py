"""Nothing that is loaded may run code: a pickle in the place of a version's file is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.manifest import MANIFEST
from sentiment.store import MODEL_FILES, record_file, verify
from tests.tiny_version import build_tiny_version


class Harmful:
    """Its pickle makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return build_tiny_version(tmp_path / "v1")


# tokenizer_config.json is for other programs: ours never opens it.
@pytest.mark.parametrize("name", sorted({*MODEL_FILES} - {"tokenizer_config.json"}))
def test_a_pickle_by_the_name_of_a_file_of_a_version_is_refused(
    version: Path, tmp_path: Path, name: str
) -> None:
    """Checksums and all are right: whoever wrote it wrote the manifest too."""
    (version / name).write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    said = json.loads((version / MANIFEST).read_text())
    said["files"][name] = record_file(version / name).model_dump()
    (version / MANIFEST).write_text(json.dumps(said))
    verify(version)
    with pytest.raises(ModelError):
        Classifier.load(version, device="cpu")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tokenizer.pkl", "tokenizer.pickle"])
def test_a_pickle_beside_them_is_refused_though_the_manifest_names_it(
    version: Path, tmp_path: Path, name: str
) -> None:
    (version / name).write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    said = json.loads((version / MANIFEST).read_text())
    said["files"][name] = record_file(version / name).model_dump()
    (version / MANIFEST).write_text(json.dumps(said))
    with pytest.raises(ModelError, match="which no version holds"):
        Classifier.load(version, device="cpu")
    assert not (tmp_path / "harm").exists()
