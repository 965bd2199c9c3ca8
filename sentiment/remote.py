"""A model store behind an fsspec URL: which versions it holds, and copies of them out and in.

It knows file names and bytes, not what a version must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from core.errors import InputError, NifosError, StoreError

_PASSWORD = re.compile("//[^/@]*@")


class RemoteVersions:
    """The directories under a URL that hold a file named as the mark.

    Args:
        url: of the directory of versions, such as `s3://bucket/models`.
        mark: the file without which a directory is no version; it is written last.
    """

    def __init__(self, url: str, mark: str) -> None:
        self._url = url.rstrip("/")
        self._mark = mark
        self.shown = _PASSWORD.sub("//", url)
        """The URL as a person may see it: without its password."""

    def names(self) -> list[str]:
        """Names of the versions, sorted.

        Raises:
            InputError: nothing that is installed opens such a URL.
            StoreError: the store cannot be reached.
        """
        with self._opened() as (files, root):
            if not files.exists(root):
                return []
            names = [Path(path.rstrip("/")).name for path in files.ls(root, detail=False)]
            return sorted(name for name in names if files.exists(f"{root}/{name}/{self._mark}"))

    def read_mark(self, name: str) -> bytes | None:
        """What the mark of a version holds; None: there is no such version. Raises as `names`."""
        with self._opened() as (files, root):
            path = f"{root}/{name}/{self._mark}"
            return bytes(files.cat_file(path)) if files.exists(path) else None

    def download(self, name: str, directory: Path) -> None:
        """Copy a version's files into a directory. Raises as `names`."""
        with self._opened() as (files, root):
            for path in files.ls(f"{root}/{name}", detail=False):
                files.get_file(path, str(directory / Path(path).name))

    def upload(self, directory: Path, names: Sequence[str], name: str) -> None:
        """Copy files of a directory up, then the mark. Raises as `names`."""
        with self._opened() as (files, root):
            files.makedirs(f"{root}/{name}", exist_ok=True)
            for file in [*names, self._mark]:
                files.put_file(str(directory / file), f"{root}/{name}/{file}")

    def remove(self, name: str) -> None:
        """Remove a version, its mark first: half removed it is none. Raises as `names`."""
        with self._opened() as (files, root):
            files.rm_file(f"{root}/{name}/{self._mark}")
            files.rm(f"{root}/{name}", recursive=True)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        try:
            yield self._open()
        except NifosError:
            raise
        except Exception as error:
            # Every backend has exceptions of its own, few of them an OSError; to us they are one.
            raise StoreError(f"model store {self.shown}: {type(error).__name__}") from error

    def _open(self) -> tuple[Any, str]:
        try:
            files, root = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"model store {self.shown}: {reason}") from error
        return files, str(root)
