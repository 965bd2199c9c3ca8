"""Named points in a worker's child at which a fault strikes: armed by a file, taken by one process.

The harness arms a point; the first child that reaches it takes the file (a rename, so only one
does), writes down who and where it is, and does what the file says.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from core.errors import DeviceError

POINTS = ("claimed", "computing", "before_fence", "after_fence", "committed")
MOST_CRASHES = 2  # of one scoring: the third is the poison's own, and not for a schedule to make

LABELLED = "labelled"  # a folder with a file for each child, touched at each chunk it labels

MIB = 1 << 20
PARENT = os.getppid()  # of a child, its worker; another's once that has ended

_numbers = count()


def arm(directory: Path, point: str, action: str) -> str:
    """Let the next process that reaches a point do something. Returns the name to look for."""
    name = f"{point}.{os.getpid()}-{next(_numbers)}"
    aside = directory / f"new-{name}"
    aside.write_text(action, encoding="utf-8")
    aside.rename(directory / name)
    return name


def disarm(directory: Path, name: str) -> bool:
    """Take an armed point back. False: it was taken."""
    try:
        (directory / name).unlink()
    except FileNotFoundError:
        return False
    return True


def taken(directory: Path, name: str) -> dict[str, Any] | None:
    """Who took it: `pid`, `chunk`, `version`. None: nobody yet."""
    try:
        found: dict[str, Any] = json.loads((directory / "taken" / name).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return found


class Points:
    """The points of one child. `chunk` is what it works on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.key: tuple[int, int] = (0, 0)
        self.connection_port: Callable[[], int] = lambda: 0

    def spare(self) -> None:
        """Let no more crashes hit this scoring: it has its own."""
        self._crashes().write_text("x" * MOST_CRASHES, encoding="utf-8")

    def reached(self, point: str) -> None:
        """Strike, if something is armed here."""
        for armed in sorted(self._directory.glob(f"{point}.*")):
            action = self._take(armed)
            if action:
                _ACTIONS[action.split()[0]](self, *action.split()[1:])

    def _take(self, armed: Path) -> str:
        crashes = self._crashes()
        before = len(crashes.read_text("utf-8")) if crashes.exists() else 0
        mine = self._directory / "taken" / f"new-{armed.name}"
        try:
            action = armed.read_text("utf-8")
            uses_try = action.split()[0] in ("kill", "no-memory")
            if uses_try and before >= MOST_CRASHES:
                return ""
            armed.rename(mine)
        except FileNotFoundError:
            return ""
        if uses_try:
            with crashes.open("a", encoding="utf-8") as stream:
                stream.write("x")
        facts = {"pid": os.getpid(), "chunk": self.key[0], "version": self.key[1]}
        if action.startswith("cut-commit"):
            facts["port"] = self.connection_port()
        mine.write_text(json.dumps(facts), encoding="utf-8")
        mine.rename(mine.with_name(armed.name))
        return action

    def ended_by_poison(self) -> None:
        """Count the processes that this scoring's own document ends."""
        path = self._directory / "ends" / "-".join(map(str, self.key))
        with path.open("a", encoding="utf-8") as stream:
            stream.write("x")

    def _crashes(self) -> Path:
        return self._directory / "crashes" / "-".join(map(str, self.key))

    def cut_commit(self, when: str) -> None:
        """Let the proxy cut the next COMMIT of the connection in hand."""
        path = self._directory / "cuts" / str(self.connection_port())
        path.write_text(when, encoding="utf-8")


def port_of(file_number: int) -> int:
    """The local port of an open TCP connection."""
    with socket.socket(fileno=os.dup(file_number)) as found:
        return int(found.getsockname()[1])


def _kill(_points: Points, whom: str) -> None:
    if whom == "child":
        os.kill(os.getpid(), signal.SIGKILL)
    elif os.getppid() != PARENT:
        return  # it has just ended: who is above us now is none of ours
    else:
        os.kill(PARENT, signal.SIGKILL)
    time.sleep(30)  # it has hit before that


def _stop(_points: Points) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _no_gpu_memory(_points: Points) -> None:
    raise DeviceError("the GPU failed (OutOfMemoryError)")


def _no_memory(_points: Points) -> None:
    """Ask for more than a real limit allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MIB, hard))
    try:
        bytearray(256 * MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


_ACTIONS: dict[str, Callable[..., None]] = {
    "kill": _kill,
    "stop": _stop,
    "no-gpu-memory": _no_gpu_memory,
    "no-memory": _no_memory,
    "cut-commit": Points.cut_commit,
}
