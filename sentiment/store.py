"""Versions as directories: written aside and renamed, verified by checksum, fetched from a store.

A version is safetensors, JSON and text: no pickle, nothing that runs code when it is loaded. Which
version is active is not known here; that is a row in PostgreSQL.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from core.errors import InputError, ModelError, StoreError
from sentiment.labels import LABEL_NAMES
from sentiment.manifest import MANIFEST, FileRecord, Manifest, parse_manifest
from sentiment.remote import RemoteVersions
from sentiment.text import TEXT_RULES_VERSION

MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
ALLOWED_SUFFIXES = (".json", ".safetensors", ".md", ".html", ".txt")
HASH_BLOCK_BYTES = 1 << 20


def save_version(written: Path, target: Path, manifest: Manifest) -> Manifest:
    """Publish a directory of model files as a version: whole, or not at all.

    Args:
        written: a directory beside the target, with everything but the manifest. It becomes the
            target.
        target: must not exist.
        manifest: without `files`.

    Raises:
        InputError: the target exists.
        ModelError: a file is missing or not of an allowed kind.
        StoreError: the disk refuses.
    """
    if target.exists():
        raise InputError(f"version {target.name} exists already: versions never change")
    whole = manifest.model_copy(
        update={"files": {path.name: record_file(path) for path in sorted(written.iterdir())}}
    )
    with _store_errors(target.parent):
        (written / MANIFEST).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
        verify(written)
        for path in (*written.iterdir(), written):
            _fsync(path)
        written.rename(target)
        _fsync(target.parent)
    return whole


def verify(directory: Path) -> Manifest:
    """Check a version's files against its manifest.

    Raises:
        ModelError: naming the file that is missing, changed, unknown or of a refused kind.
    """
    manifest = _read_manifest(directory)
    _check_agreement(directory, manifest)
    for name in MODEL_FILES:
        if name not in manifest.files:
            raise ModelError(f"{directory}: the manifest lacks {name}")
    for name, record in manifest.files.items():
        if Path(name).name != name or Path(name).suffix not in ALLOWED_SUFFIXES:
            raise ModelError(f"{directory}: the manifest names {name!r}, which no version holds")
        path = directory / name
        if path.is_symlink() or not path.is_file():
            raise ModelError(f"{directory}: {name} is missing")
        if path.stat().st_size != record.bytes or record_file(path) != record:
            raise ModelError(f"{directory}: {name} is damaged (its checksum is wrong)")
    unknown = {path.name for path in directory.iterdir()} - set(manifest.files) - {MANIFEST}
    if unknown:
        raise ModelError(f"{directory}: {sorted(unknown)[0]} is not in the manifest")
    return manifest


def _read_manifest(directory: Path) -> Manifest:
    try:
        content = (directory / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{directory}: no version is there ({MANIFEST} is missing)") from None
    except OSError as error:
        raise StoreError(f"{directory}: cannot be read ({error.strerror})") from error
    return parse_manifest(content, str(directory))


def _check_agreement(directory: Path, manifest: Manifest) -> None:
    if manifest.labels != LABEL_NAMES:
        raise ModelError(f"{directory}: its labels are {manifest.labels}, not {LABEL_NAMES}")
    if manifest.text_rules != TEXT_RULES_VERSION:
        raise ModelError(
            f"{directory}: trained on text rules {manifest.text_rules}, "
            f"this program has {TEXT_RULES_VERSION}"
        )


class Store:
    """Versions by name, in a directory or behind an fsspec URL.

    Args:
        url: a directory, or a URL such as `s3://bucket/models`.
        cache: where versions behind a URL are copied to; not used for a directory.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self._remote = RemoteVersions(url, MANIFEST) if "://" in url else None
        # Two stores may hold different versions of one name: each has a cache of its own.
        key = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._root = cache / "versions" / key if self._remote else Path(url).absolute()

    def names(self) -> list[str]:
        """Names of the versions in the store, sorted.

        Raises:
            InputError: nothing that is installed opens such a URL.
            StoreError: the store cannot be reached.
        """
        if self._remote:
            return self._remote.names()
        with _store_errors(self._root):
            if not self._root.exists():
                return []
            found = [path.parent.name for path in self._root.glob(f"*/{MANIFEST}")]
        return sorted(name for name in found if not name.startswith("."))

    def fetch(self, name: str, checksums: Mapping[str, str] | None = None) -> Path:
        """A verified local directory of a version.

        Args:
            name: of the version.
            checksums: file name to sha256, as they were when it was registered, if that is known:
                a version that was exchanged as a whole, manifest and all, is another version.

        Raises:
            InputError: nothing that is installed opens the store's URL.
            ModelError: no such version, or damaged.
            StoreError: the store cannot be reached.
        """
        directory = self._root / _safe_name(name)
        try:
            verify(directory)
        except ModelError:
            if self._remote is None:
                raise
            with _store_errors(self._root):
                self._download(self._remote, name, directory)
        if checksums is not None and _read_manifest(directory).checksums() != checksums:
            raise ModelError(f"{directory}: its files are not those that were registered as {name}")
        return directory

    def _download(self, remote: RemoteVersions, name: str, directory: Path) -> None:
        if remote.read_mark(name) is None:
            raise ModelError(f"{remote.shown}: no version {name}")
        shutil.rmtree(directory, ignore_errors=True)  # a damaged copy, if there is one
        with self._aside(name) as aside:
            remote.download(name, aside)
            verify(aside)
            _put_in_place(aside, directory)

    def publish(self, version: Path, name: str) -> None:
        """Copy a version into the store. The same version again is nothing to do.

        Raises:
            InputError: another version has that name.
            ModelError: the version is damaged.
            StoreError: the store cannot be reached or is full.
        """
        manifest = verify(version)
        with _store_errors(self._root):
            present = self._manifest_of(_safe_name(name))
            if present is not None:
                if present.checksums() != manifest.checksums():
                    raise InputError(f"version {name} exists already with other files")
            elif self._remote:
                self._remote.upload(version, list(manifest.files), name)
            else:
                self._publish_local(version, name)

    def remove(self, name: str, checksums: Mapping[str, str]) -> bool:
        """Take a version back that nothing names. Returns whether it was there.

        Args:
            name: of the version.
            checksums: of the files that were published: what has others is another's, and stays.

        Raises:
            StoreError: the store cannot be reached.
        """
        with _store_errors(self._root):
            present = self._manifest_of(_safe_name(name))
            if present is None or present.checksums() != dict(checksums):
                return False
            if self._remote:
                self._remote.remove(name)
            with self._aside(name) as aside:
                if (self._root / name).exists():  # of a remote store: the copy in the cache
                    (self._root / name).rename(aside / name)
        return True

    def holds_locally(self, name: str) -> Path | None:
        """Where a version's directory is on this machine, unread; nothing is fetched."""
        directory = self._root / _safe_name(name)
        return directory if directory.is_dir() else None

    def _publish_local(self, version: Path, name: str) -> None:
        with self._aside(name) as aside:
            shutil.copytree(version, aside, dirs_exist_ok=True)
            for path in (*aside.iterdir(), aside):
                _fsync(path)
            _put_in_place(aside, self._root / name)
            _fsync(self._root)

    def _manifest_of(self, name: str) -> Manifest | None:
        if self._remote:
            content = self._remote.read_mark(name)
            if content is None:
                return None
            return parse_manifest(content, f"{self._remote.shown}/{name}")
        directory = self._root / name
        return _read_manifest(directory) if (directory / MANIFEST).exists() else None

    @contextmanager
    def _aside(self, name: str) -> Iterator[Path]:
        self._root.mkdir(parents=True, exist_ok=True)
        aside = self._root / f".{name}.{uuid4().hex}"
        aside.mkdir()
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def shipped_version() -> Path:
    """The version that comes with the program."""
    return Path(__file__).resolve().parents[1] / "models" / "starter"


def _safe_name(name: str) -> str:
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"{name!r} is not the name of a version")
    return name


def _put_in_place(aside: Path, directory: Path) -> None:
    try:
        aside.rename(directory)
    except OSError:
        # Another process was faster; what it put there is as good if it is the same.
        if _read_manifest(directory).checksums() != _read_manifest(aside).checksums():
            raise


def record_file(path: Path) -> FileRecord:
    """Checksum and size of a file as it is now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return FileRecord(sha256=digest.hexdigest(), bytes=path.stat().st_size)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _store_errors(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"model store {where}: {error.strerror or error}") from error
