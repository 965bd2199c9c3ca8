"""A store behind a URL, on fsspec's own in-memory file system."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from core.errors import InputError, ModelError, StoreError
from sentiment.manifest import MANIFEST
from sentiment.remote import RemoteVersions, shown_url
from sentiment.store import Store, verify
from tests.tiny_version import build_tiny_version


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: never changed."""
    return build_tiny_version(tmp_path_factory.mktemp("made") / "v1")


def _new_url() -> Iterator[str]:
    root = f"/{uuid4().hex}"
    yield f"memory:/{root}"
    files = fsspec.filesystem("memory")
    if files.exists(root):
        files.rm(root, recursive=True)


url = pytest.fixture(_new_url)
other_url = pytest.fixture(_new_url)


@pytest.fixture
def store(url: str, tmp_path: Path) -> Store:
    return Store(url, tmp_path / "cache")


def _write(url: str, path: str, content: bytes) -> None:
    files, root = fsspec.core.url_to_fs(f"{url}/{path}")
    files.pipe_file(root, content)


def test_names_are_those_of_whole_versions(store: Store, url: str, version: Path) -> None:
    assert store.names() == []
    store.publish(version, "two")
    store.publish(version, "one")
    _write(url, "half/model.safetensors", b"")
    assert store.names() == ["one", "two"]


def test_names_in_a_directory(version: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"), tmp_path / "cache")
    assert store.names() == []
    store.publish(version, "one")
    shutil.copytree(version, tmp_path / "store" / ".aside")
    (tmp_path / "store" / "half").mkdir()
    assert store.names() == ["one"]


def test_a_damaged_cached_copy_is_fetched_again(store: Store, version: Path) -> None:
    store.publish(version, "one")
    (store.fetch("one") / "config.json").write_text("{}")
    assert verify(store.fetch("one")) == verify(version)


def test_what_is_cached_needs_no_store(store: Store, url: str, version: Path) -> None:
    store.publish(version, "one")
    fetched = store.fetch("one")
    fsspec.filesystem("memory").rm(url.removeprefix("memory:/"), recursive=True)
    assert store.fetch("one") == fetched


def test_damage_in_the_store_is_found_and_not_kept(
    store: Store, url: str, version: Path, tmp_path: Path
) -> None:
    store.publish(version, "one")
    _write(url, "one/config.json", b"{}")
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        store.fetch("one")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("outside", ["../config.json", "/tmp/config.json", "one/../config.json"])
def test_a_manifest_that_names_a_file_outside_its_version_is_refused(
    store: Store, url: str, version: Path, tmp_path: Path, outside: str
) -> None:
    manifest = json.loads((version / MANIFEST).read_text())
    manifest["files"][outside] = manifest["files"]["config.json"]
    for name in manifest["files"]:
        if name != outside:
            _write(url, f"one/{name}", (version / name).read_bytes())
    _write(url, f"one/{MANIFEST}", json.dumps(manifest).encode())
    with pytest.raises(ModelError, match="which no version holds"):
        store.fetch("one")
    assert list((tmp_path / "cache").rglob(MANIFEST)) == []


def test_a_broken_manifest_in_the_store_is_said(store: Store, url: str, version: Path) -> None:
    _write(url, f"one/{MANIFEST}", b"{")
    with pytest.raises(ModelError, match="damaged"):
        store.publish(version, "one")


def test_two_stores_with_one_cache_keep_their_versions_apart(
    url: str, other_url: str, version: Path, tmp_path: Path
) -> None:
    other = build_tiny_version(tmp_path / "other", seed=1)
    for place, made in ((url, version), (other_url, other)):
        Store(place, tmp_path / "cache").publish(made, "one")
    for place, made in ((url, version), (other_url, other)):
        fetched = Store(place, tmp_path / "cache").fetch("one")
        assert verify(fetched).checksums() == verify(made).checksums()


def test_another_process_that_was_faster_is_no_error(
    store: Store, version: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.publish(version, "one")
    download = RemoteVersions.download

    def overtaken(self: RemoteVersions, name: str, directory: Path) -> None:
        download(self, name, directory)
        shutil.copytree(version, directory.parent / name)

    monkeypatch.setattr(RemoteVersions, "download", overtaken)
    assert verify(store.fetch("one")) == verify(version)


@pytest.mark.parametrize("address", ["nosuchscheme://bucket/models", "adl://bucket/models"])
def test_a_url_that_nothing_here_can_open(address: str, version: Path, tmp_path: Path) -> None:
    store = Store(address, tmp_path / "cache")
    for call in (store.names, lambda: store.fetch("one"), lambda: store.publish(version, "one")):
        with pytest.raises(InputError, match="model store") as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/models", "s3://bucket/models"),
        ("/srv/mo@dels?x", "/srv/mo@dels?x"),  # a directory
        ("ftp://someone:secret@host:21/models", "ftp://host:21/models"),
        ("ftp://someone:sec@ret@host/models", "ftp://host/models"),
        ("ftp://someone:sec/ret@host/models", "ftp://host/models"),
        ("ftp://someone:sec?ret@host/models", "ftp://…"),
        ("ftp://someone:sec#ret@host/models", "ftp://…"),
        ("https://host/models?token=secret", "https://host/models"),
        ("https://host/models?token=sec@ret", "https://…"),
        ("https://host/models#secret", "https://host/models"),
        ("simplecache::ftp://someone:secret@host/models", "simplecache::ftp://host/models"),
        ("zip://models::ftp://someone:secret@host/a.zip", "zip://host/a.zip"),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize("between", ["", "@", "/", "?", "#", "/[", ":"])
def test_a_backend_that_fails_tells_no_part_of_the_password(between: str, tmp_path: Path) -> None:
    # Nothing listens on port 9 of this machine; the library raises an error of its own.
    store = Store(f"ftp://someone:hun{between}ter2@127.0.0.1:9/models", tmp_path / "cache")
    with pytest.raises((StoreError, InputError), match="model store ftp://") as raised:
        store.names()
    told = "".join(traceback.format_exception(raised.value))
    assert "hun" not in told
    assert "ter2" not in told


@pytest.mark.parametrize("number", [0, 2, None])
def test_a_manifest_of_another_format_is_refused(
    version: Path, tmp_path: Path, number: int | None
) -> None:
    copy = Path(shutil.copytree(version, tmp_path / "copy"))
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"format": number, "new": 1}))
    with pytest.raises(ModelError, match=f"format {number}"):
        verify(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_broken_manifest_is_one_line(version: Path, tmp_path: Path, content: bytes) -> None:
    copy = Path(shutil.copytree(version, tmp_path / "copy"))
    (copy / MANIFEST).write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as raised:
        verify(copy)
    assert "\n" not in str(raised.value)
