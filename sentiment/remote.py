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

_QUERY = re.compile("[?#]")


def shown_url(url: str) -> str:
    """A store's URL as a person may see it: without a user, a password or a token in its query.

    It rather cuts too much: what stands in a password need not be escaped. A directory is shown as
    it is.
    """
    scheme, mark, behind = url.partition("://")
    if not mark:
        return url
    place, *query = _QUERY.split(behind, maxsplit=1)
    if query and "@" in query[0]:  # a password with a ? in it, or a token with an @
        return f"{scheme}://…"
    return f"{scheme}://{place.rpartition('@')[2]}"


class RemoteVersions:
    """The directories under a URL that hold a file named as the mark.

    Args:
        url: of the directory of versions, such as `s3://bucket/models`.
        mark: the file without which a directory is no version; it is written last.
    """

    def __init__(self, url: str, mark: str) -> None:
        self._url = url.rstrip("/")
        self._mark = mark
        self.shown = shown_url(url)
        """The URL as a person may see it."""
        self._holds_secret = self.shown != url

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
            words = f"model store {self.shown}: {type(error).__name__}"
            if self._holds_secret:  # their words may repeat it, and a traceback shows them
                raise StoreError(words) from None
            raise StoreError(words) from error

    def _open(self) -> tuple[Any, str]:
        try:
            files, root = fsspec.core.url_to_fs(self._url)
        except ImportError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"model store {self.shown}: {reason}") from None
        except ValueError as error:
            # What cannot be read is repeated: of `u:se/cret@host`, that `se` is no port.
            reason = "no such URL" if self._holds_secret else str(error).partition("\n")[0]
            raise InputError(f"model store {self.shown}: {reason}") from None
        return files, str(root)
