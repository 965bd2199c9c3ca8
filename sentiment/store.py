"""Versions as directories: written aside and renamed, verified by checksum, fetched from a store.

A version is safetensors, JSON and text: no pickle, nothing that runs code when it is loaded. Which
version is active is not known here; that is a row in PostgreSQL.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InputError, ModelError, StoreError
from sentiment.labels import LABEL_NAMES
from sentiment.text import TEXT_RULES_VERSION

MANIFEST = "manifest.json"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
ALLOWED_SUFFIXES = (".json", ".safetensors", ".md", ".html", ".txt")
HASH_BLOCK_BYTES = 1 << 20


class FileRecord(BaseModel):
    """What a file of a version must be."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int


class Manifest(BaseModel):
    """What a version says of itself. It is written last and covers every other file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    name: str
    labels: tuple[str, ...] = LABEL_NAMES
    text_rules: int = TEXT_RULES_VERSION
    padding_length: int = Field(ge=8)
    """Tokens, special ones included; what is longer is cut into windows."""
    temperature: float = Field(default=1.0, gt=0)
    metrics: dict[str, Any] = {}
    training: dict[str, Any] = {}
    files: dict[str, FileRecord] = {}

    def checksums(self) -> dict[str, str]:
        """File name to sha256."""
        return {name: record.sha256 for name, record in self.files.items()}


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
        update={"files": {path.name: _record(path) for path in sorted(written.iterdir())}}
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
        if path.stat().st_size != record.bytes or _record(path) != record:
            raise ModelError(f"{directory}: {name} is damaged (its checksum is wrong)")
    unknown = {path.name for path in directory.iterdir()} - set(manifest.files) - {MANIFEST}
    if unknown:
        raise ModelError(f"{directory}: {sorted(unknown)[0]} is not in the manifest")
    return manifest


def _read_manifest(directory: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{directory}: no version is there ({MANIFEST} is missing)") from None
    except (ValidationError, json.JSONDecodeError):
        raise ModelError(f"{directory}: {MANIFEST} is damaged") from None
    except OSError as error:
        raise StoreError(f"{directory}: cannot be read ({error.strerror})") from error


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
        self._local = "://" not in url
        self._url = url
        self._root = Path(url).absolute() if self._local else cache / "versions"

    def fetch(self, name: str) -> Path:
        """A verified local directory of a version.

        Raises:
            ModelError: no such version, or damaged.
            StoreError: the store cannot be reached.
        """
        directory = self._root / _safe_name(name)
        if not self._local and not (directory / MANIFEST).exists():
            with _store_errors(self._root), self._aside(name) as aside:
                files, root = fsspec.core.url_to_fs(f"{self._url.rstrip('/')}/{name}")
                if not files.exists(f"{root}/{MANIFEST}"):
                    raise ModelError(f"{self._url}: no version {name}")
                for path in files.ls(root, detail=False):
                    files.get_file(path, str(aside / Path(path).name))
                verify(aside)
                aside.rename(directory)
        verify(directory)
        return directory

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
                return
            if self._local:
                self._publish_local(version, name)
            else:
                files, root = fsspec.core.url_to_fs(f"{self._url.rstrip('/')}/{name}")
                files.makedirs(root, exist_ok=True)
                # The manifest last: without it there is no version there.
                for file in [*manifest.files, MANIFEST]:
                    files.put_file(str(version / file), f"{root}/{file}")

    def _publish_local(self, version: Path, name: str) -> None:
        with self._aside(name) as aside:
            shutil.copytree(version, aside, dirs_exist_ok=True)
            for path in (*aside.iterdir(), aside):
                _fsync(path)
            aside.rename(self._root / name)
            _fsync(self._root)

    def _manifest_of(self, name: str) -> Manifest | None:
        if self._local:
            directory = self._root / name
            return _read_manifest(directory) if (directory / MANIFEST).exists() else None
        files, root = fsspec.core.url_to_fs(f"{self._url.rstrip('/')}/{name}")
        if not files.exists(f"{root}/{MANIFEST}"):
            return None
        return Manifest.model_validate_json(files.cat_file(f"{root}/{MANIFEST}"))

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


def _record(path: Path) -> FileRecord:
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
