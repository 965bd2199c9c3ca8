"""A fit's checkpoints on disk: written aside and renamed, found again, never another fit's.

The library writes a checkpoint in place, so that a killed process leaves one that looks whole. It
knows nothing of what is in one but the names of its files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import torch
from safetensors import SafetensorError

from core.errors import StoreError
from trainer.encoding import Encoded

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STATE = "trainer_state.json"  # the library's name
WEIGHTS = "model.safetensors"
FILES = (STATE, WEIGHTS, "optimizer.pt", "scheduler.pt", "rng_state.pth")
RESUMED = "resumed.json"
_PREFIX = "checkpoint-"
_TORCH_WRITER = ("inline_container", "PytorchStreamWriter", "iostream")


def fingerprint(
    settings: DataclassInstance, model: torch.nn.Module, train: Encoded, validation: Encoded
) -> str:
    """What makes a fit this one and no other: its settings, its first weights, its windows.

    The device is not part of it: a fit may go on elsewhere.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps(asdict(settings), sort_keys=True).encode())
    digest.update(weights_digest(model).encode())
    for encoded in (train, validation):
        for ids in encoded.input_ids:
            digest.update(ids.tobytes())
        digest.update(encoded.lengths().tobytes())
        digest.update(encoded.label_ids.tobytes())
        if encoded.targets is not None:
            digest.update(encoded.targets.tobytes())
    return digest.hexdigest()


def weights_digest(model: torch.nn.Module) -> str:
    """What tells a model's weights from any others."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


class Checkpoints:
    """The checkpoints of one fit.

    Args:
        output: a directory, which several fits may share.
        fit: the fit's fingerprint.
    """

    def __init__(self, output: Path, fit: str) -> None:
        self.directory = output / f"fit-{fit}"
        with disk_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            for left in self.directory.glob(".*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is, if it is."""
        return self.directory / f"{_PREFIX}{step}"

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole checkpoint and the library's state in it."""
        steps = sorted(self._steps(), reverse=True)
        for path in map(self.path, steps):
            state = _read_state(path)
            if state is not None:
                return path, state
        return None

    @contextmanager
    def written(self, step: int) -> Iterator[Path]:
        """A directory to write a checkpoint to: it becomes the checkpoint, or is removed.

        Raises:
            StoreError: the disk is full or refuses; the older checkpoints are untouched.
        """
        aside = self.directory / f".{uuid4().hex}"
        try:
            with disk_errors(self.directory):
                aside.mkdir()
                yield aside
                for path in (*aside.iterdir(), aside):
                    _fsync(path)
                _remove(self.path(step))
                aside.rename(self.path(step))
                _fsync(self.directory)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def keep(self, *steps: int) -> None:
        """Remove all checkpoints but those of these steps."""
        for step in self._steps() - set(steps):
            _remove(self.path(step))

    def count_resumption(self) -> int:
        """Note that the fit goes on after an interruption. Returns how often it has."""
        path = self.directory / RESUMED
        with disk_errors(self.directory):
            times = self.resumed() + 1
            aside = path.with_name(f".{uuid4().hex}")
            aside.write_text(json.dumps(times), encoding="utf-8")
            aside.rename(path)
        return times

    def resumed(self) -> int:
        """How often the fit went on after an interruption."""
        path = self.directory / RESUMED
        return int(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else 0

    def _steps(self) -> set[int]:
        names = (path.name.removeprefix(_PREFIX) for path in self.directory.glob(f"{_PREFIX}*"))
        return {int(name) for name in names if name.isdecimal()}


@contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turn what a full or failing disk raises into our error.

    Raises:
        StoreError: for an error of the disk.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise _cannot_write(directory, reason) from error
    except RuntimeError as error:
        # torch's writer says so in words alone; any other RuntimeError is no matter of the disk.
        if not any(word in str(error) for word in _TORCH_WRITER):
            raise
        raise _cannot_write(directory, "the disk takes no more") from error


def _cannot_write(directory: Path, reason: str) -> StoreError:
    return StoreError(
        f"{directory}: no checkpoint can be written ({reason}); make room: it goes on from the"
        " last one"
    )


def _read_state(path: Path) -> dict[str, Any] | None:
    if not all((path / name).is_file() for name in FILES):
        return None
    try:
        state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    except ValueError:
        return None
    return state if "global_step" in state else None


def _remove(path: Path) -> None:
    # By name first: a process that is killed here leaves nothing that looks like a checkpoint.
    if path.exists():
        gone = path.with_name(f".{uuid4().hex}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
