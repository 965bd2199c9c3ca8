"""What is made once for a version on a machine and kept: converted engines, outcomes of the check.

A folder for each version's very files, below it one for each form with a list of checksums. It is
a cache: what is damaged or gone is made anew, and the versions that were used longest ago make
room. It knows nothing of engines.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from core.errors import StoreError
from sentiment.engines.agreement import Agreement
from sentiment.manifest import FileRecord, Manifest
from sentiment.store import record_file

CHECKSUMS = "checksums.json"
KEPT_VERSIONS = 4  # a converted base model is half a gigabyte


class Kept:
    """The folder of one version in the cache.

    Args:
        cache: for all versions.
        manifest: of the version: its files' checksums name the folder.
    """

    def __init__(self, cache: Path, manifest: Manifest) -> None:
        files = json.dumps(manifest.checksums(), sort_keys=True)
        self._cache = cache
        self._folder = cache / hashlib.sha256(files.encode()).hexdigest()[:16]

    def form(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder with a converted engine, whole: found, or made now.

        Two processes that ask at once make it once.

        Args:
            name: says all that it depends on besides the version.
            make: writes the files into an empty folder.

        Raises:
            StoreError: the disk refuses.
        """
        folder = self._folder / name
        if _is_whole(folder):
            with suppress(OSError):  # of a cache that may only be read
                os.utime(self._folder)
            return folder
        with _disk_errors(self._cache), self._alone():
            if not _is_whole(folder):  # nobody else has made it meanwhile
                shutil.rmtree(folder, ignore_errors=True)
                aside = self._folder / f".{name}.{uuid4().hex}"
                aside.mkdir()
                try:
                    make(aside)
                    _write_checksums(aside)
                    aside.rename(folder)
                finally:
                    shutil.rmtree(aside, ignore_errors=True)
        return folder

    def outcome(self, name: str, measure: Callable[[], Agreement]) -> Agreement:
        """An outcome of the check: read, or measured now and kept where the disk allows."""
        path = self._folder / f"{name}.json"
        try:
            return Agreement(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # not there, or no outcome
            found = measure()
        with suppress(OSError, StoreError), self._alone():
            aside = self._folder / f".{name}.{uuid4().hex}"
            aside.write_text(json.dumps(found.__dict__), encoding="utf-8")
            aside.rename(path)
        return found

    def last_outcome(self, begins: str) -> Agreement | None:
        """The newest outcome whose name begins so; None: there is none that can be read."""
        try:
            paths = self._folder.glob(f"{begins}-*.json")
            newest = max(paths, key=lambda path: path.stat().st_mtime)
            return Agreement(**json.loads(newest.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # `max` of none is a ValueError, too
            return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time; a dead one's lock is free."""
        self._folder.mkdir(parents=True, exist_ok=True)
        os.utime(self._folder)
        with (self._cache / f".{self._folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self._folder.glob(".*"):  # by one that was killed: all write in here
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield
        self._make_room()

    def _make_room(self) -> None:
        used: list[tuple[float, Path]] = []
        for path in self._cache.iterdir():
            with suppress(FileNotFoundError):  # another process makes room, too
                if path.is_dir():
                    used.append((path.stat().st_mtime, path))
        for _at, folder in sorted(used, reverse=True)[KEPT_VERSIONS:]:
            # Who has it open keeps what it has; who asks for it again makes it again.
            shutil.rmtree(folder, ignore_errors=True)


def _write_checksums(folder: Path) -> None:
    records = {path.name: record_file(path).model_dump() for path in sorted(folder.iterdir())}
    (folder / CHECKSUMS).write_text(json.dumps(records), encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _is_whole(folder: Path) -> bool:
    try:
        records = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        expected = {name: FileRecord.model_validate(record) for name, record in records.items()}
        return all(record_file(folder / name) == record for name, record in expected.items())
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def _disk_errors(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cache {where}: {error.strerror or error}") from error
