"""What a fault is: something done to the stage, from its begin to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import psutil

from tests.chaos import points
from tests.chaos.logs import mark, said_since
from tests.chaos.stage import Stage

STRIKE_PATIENCE_S = 20.0
MEET_PATIENCE_S = 12.0


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    do: returns when it is over (a killed server is back, a stopped process goes on); False where
    nothing was there to be hit. part: what no two faults may hold at a time. long_s: how long it
    lasts, where that is more than some seconds.
    """

    name: str
    do: Callable[[Stage, Random], bool]
    part: str = ""
    long_s: float = 0.0
    weight: int = 2


def strike(stage: Stage, point: str, action: str) -> dict[str, Any] | None:
    """Arm a point and wait until a child has run into it. None: none came by."""
    name = points.arm(stage.points, point, action)
    with suppress(AssertionError):
        stage.wait_until("", lambda: points.taken(stage.points, name), STRIKE_PATIENCE_S)
    if points.disarm(stage.points, name):
        return None
    stage.wait_until("the taker writes it down", lambda: points.taken(stage.points, name), 5)
    return points.taken(stage.points, name)


def at_point(point: str, action: str) -> Callable[[Stage, Random], bool]:
    """A fault that is over as soon as it has struck."""
    return lambda stage, _random: strike(stage, point, action) is not None


def for_a_while(
    begin: Callable[[Stage], None], end: Callable[[Stage], None], seconds: float
) -> Callable[[Stage, Random], bool]:
    """A fault that lasts so long, or up to half as long again."""

    def do(stage: Stage, random: Random) -> bool:
        begin(stage)
        try:
            time.sleep(seconds * random.uniform(1.0, 1.5))
        finally:
            end(stage)
        return True

    return do


def until_met(
    begin: Callable[[Stage], None], end: Callable[[Stage], None], code: str
) -> Callable[[Stage, Random], bool]:
    """A fault of a server that has struck when a process says the server's code; and a while on."""

    def do(stage: Stage, random: Random) -> bool:
        marks = mark(stage.logs)

        def met() -> bool:
            return code in said_since(stage.logs, marks)

        try:
            begin(stage)
            stage.wait_until(f"somebody meets {code}", met, MEET_PATIENCE_S)
            time.sleep(random.uniform(1.0, 4.0))
        except AssertionError:
            return False
        finally:
            end(stage)
        return True

    return do


def cut_commit(when: str) -> Callable[[Stage, Random], bool]:
    """A connection that is cut before or after its COMMIT: struck once the proxy has cut it."""

    def do(stage: Stage, _random: Random) -> bool:
        before = len(stage.database.cuts)
        found = strike(stage, "after_fence", f"cut-commit {when}")
        if found is None:
            return False
        with suppress(AssertionError):
            stage.wait_until(
                "", lambda: found["port"] in stage.database.cuts[before:], MEET_PATIENCE_S
            )
            return True
        (stage.points / "cuts" / str(found["port"])).unlink(missing_ok=True)
        return False

    return do


def go_on(pid: int) -> None:
    """Let a stopped process go on, if it still lives."""
    with suppress(psutil.Error):
        psutil.Process(pid).resume()


def server_processes(stage: Stage, *names: str) -> list[psutil.Process]:
    """The processes of one of the stage's servers, the first of them first.

    Raises:
        AssertionError: none has one of these names: a fault would be counted that hits nothing.
    """
    home = str(stage.home / "servers")
    found = []
    for process in psutil.process_iter(["name", "cmdline", "create_time"]):
        words = " ".join(process.info["cmdline"] or [])
        with suppress(psutil.Error):
            named = any(name in (process.info["name"] or "") for name in names)
            if named and (home in words or home in process.cwd()):
                found.append(process)
    assert found, f"no process of {names}"
    return sorted(found, key=lambda process: process.info["create_time"])


__all__ = [
    "Fault",
    "at_point",
    "cut_commit",
    "for_a_while",
    "go_on",
    "partial",
    "server_processes",
    "strike",
    "until_met",
]
