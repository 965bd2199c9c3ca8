from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.errors import InputError, ModelError, StoreError
from sentiment.store import MANIFEST, Store, verify
from tests.tiny_version import build_tiny_version


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return build_tiny_version(tmp_path / "made" / "v1")


def _edit(version: Path, **changes: object) -> None:
    manifest = json.loads((version / MANIFEST).read_text())
    (version / MANIFEST).write_text(json.dumps(manifest | changes))


def test_what_was_saved_is_verified(version: Path) -> None:
    manifest = verify(version)
    assert manifest.name == "v1"
    assert set(manifest.files) >= {"model.safetensors", "config.json", "tokenizer.json"}
    assert not list(version.parent.glob(".*"))


def test_one_changed_byte_is_found_and_named(version: Path) -> None:
    path = version / "model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        verify(version)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(version: Path, name: str) -> None:
    (version / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        verify(version)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pkl", "code.py"])
def test_a_file_that_is_not_in_the_manifest_is_refused(version: Path, name: str) -> None:
    (version / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=name):
        verify(version)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "model.pkl"])
def test_a_manifest_cannot_name_what_no_version_holds(version: Path, name: str) -> None:
    files = json.loads((version / MANIFEST).read_text())["files"]
    _edit(version, files=files | {name: {"sha256": "0", "bytes": 1}})
    with pytest.raises(ModelError, match="which no version holds"):
        verify(version)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ["negative", "positive", "neutral"]}, "its labels are"),
        ({"text_rules": 99}, "text rules 99"),
        ({"padding_length": "long"}, "manifest.json is damaged"),
    ],
)
def test_another_label_set_or_rule_is_refused(
    version: Path, change: dict[str, object], words: str
) -> None:
    _edit(version, **change)
    with pytest.raises(ModelError, match=words):
        verify(version)


def test_a_link_is_not_followed(version: Path, tmp_path: Path) -> None:
    shutil.move(version / "config.json", tmp_path / "config.json")
    (version / "config.json").symlink_to(tmp_path / "config.json")
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        verify(version)


@pytest.mark.parametrize("kind", ["directory", "url"])
def test_what_is_published_is_fetched(version: Path, tmp_path: Path, kind: str) -> None:
    root = tmp_path / "store"
    store = Store(str(root) if kind == "directory" else f"file://{root}", tmp_path / "cache")
    store.publish(version, "v1")
    store.publish(version, "v1")  # the same again is nothing to do
    fetched = store.fetch("v1")
    assert verify(fetched).checksums() == verify(version).checksums()
    other = build_tiny_version(tmp_path / "other" / "v1", seed=1)
    with pytest.raises(InputError, match="exists already"):
        store.publish(other, "v1")
    with pytest.raises(ModelError, match="no version"):
        store.fetch("v2")


@pytest.mark.parametrize("name", ["../v1", "", ".hidden", "a/b", "/v1"])
def test_a_name_cannot_leave_the_store(version: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not the name"):
        Store(str(tmp_path / "store"), tmp_path / "cache").publish(version, name)


def test_a_store_that_cannot_be_written_is_a_passing_error(version: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        Store(str(tmp_path / "file" / "store"), tmp_path / "cache").publish(version, "v1")


def test_a_half_written_version_is_none(version: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(version, root / "v1")
    (root / "v1" / MANIFEST).unlink()
    with pytest.raises(ModelError, match="no version is there"):
        Store(str(root), tmp_path / "cache").fetch("v1")


def test_a_version_exchanged_as_a_whole_is_refused(version: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"), tmp_path / "cache")
    store.publish(version, "v1")
    registered = verify(version).checksums()
    assert store.fetch("v1", registered)
    shutil.rmtree(tmp_path / "store" / "v1")
    store.publish(build_tiny_version(tmp_path / "other" / "v1", seed=1), "v1")
    with pytest.raises(ModelError, match="not those that were registered"):
        store.fetch("v1", registered)


@pytest.mark.parametrize("kind", ["directory", "url"])
def test_what_was_published_can_be_taken_back_and_nothing_else(
    version: Path, tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "store"
    store = Store(str(root) if kind == "directory" else f"file://{root}", tmp_path / "cache")
    checksums = verify(version).checksums()
    assert not store.remove("v1", checksums), "it is not there"
    store.publish(version, "v1")
    assert store.holds_locally("v1") == (root / "v1" if kind == "directory" else None)
    assert not store.remove("v1", checksums | {"config.json": "0"}), "it is another's"
    assert store.names() == ["v1"]
    store.fetch("v1")
    assert store.holds_locally("v1") is not None
    assert store.remove("v1", checksums)
    assert store.names() == []
    assert store.holds_locally("v1") is None, "nor in the cache"
    with pytest.raises(ModelError):
        store.fetch("v1")
    store.publish(version, "v1")
    assert store.names() == ["v1"], "the name is free again"
