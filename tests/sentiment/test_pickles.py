"""Nothing that is loaded may run code: a pickle in the place of a version's file is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.store import MODEL_FILES, verify
from tests.harmful import Harmful
from tests.tiny_version import build_tiny_version, name_in_manifest


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
    name_in_manifest(version, name)
    verify(version)
    with pytest.raises(ModelError):
        Classifier.load(version, device="cpu")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tokenizer.pkl", "tokenizer.pickle"])
def test_a_pickle_beside_them_is_refused_though_the_manifest_names_it(
    version: Path, tmp_path: Path, name: str
) -> None:
    (version / name).write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    name_in_manifest(version, name)
    with pytest.raises(ModelError, match="which no version holds"):
        Classifier.load(version, device="cpu")
    assert not (tmp_path / "harm").exists()
