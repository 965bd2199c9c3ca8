"""A run's directory: its checkpoints and what else it goes on with after a crash.

One process at a time may write to it: a killed trainer's process may live for a moment while the
next one begins. The lock ends with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from core.errors import ServiceError
from db.training_runs import TrainingRun

WORKDIR = "run-{}"
LOCK = "lock"
IDENTITY = "run.json"
LOCK_PATIENCE_S = 60.0
LOCK_RETRY_S = 0.2


def run_identity(run: TrainingRun) -> dict[str, Any]:
    """What tells a run from one of the same number in another database."""
    return {"run": run.id, "asked": run.created_at.isoformat(), "request": run.request}


def was_begun_here(home: Path, run: TrainingRun) -> bool:
    """Tell whether a run's directory, with its rows and checkpoints, is on this machine."""
    return bool(_read_identity(home / WORKDIR.format(run.id)) == run_identity(run))


@contextmanager
def hold_workdir(directory: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Make or find a run's directory, emptied if it is another run's of that number.

    Args:
        directory: of the run.
        identity: see `run_identity`.

    Raises:
        ServiceError: another process works in it.
        OSError: the disk is full or refuses.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        _wait_for_lock(lock.fileno(), directory)
        if _read_identity(directory) != identity:
            _empty(directory)
            with whole_file(directory / IDENTITY) as aside:
                aside.write_text(json.dumps(identity), encoding="utf-8")
        yield directory


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to: what is written becomes the file at the end, or is removed."""
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield aside
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


def lies_idle(directory: Path) -> bool:
    """Tell whether no process works in a run's directory."""
    try:
        with (directory / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def last_written(directory: Path) -> float:
    """When something last came to a run's directory or to a folder of it: seconds, 0 for never."""
    try:
        return max(path.stat().st_mtime for path in (directory, *directory.iterdir()))
    except OSError:
        return 0.0


def _wait_for_lock(descriptor: int, directory: Path) -> None:
    end = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise ServiceError(f"{directory}: another process still trains in it") from None
            time.sleep(LOCK_RETRY_S)


def _read_identity(directory: Path) -> Any:
    try:
        return json.loads((directory / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
