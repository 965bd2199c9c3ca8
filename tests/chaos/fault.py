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
from tests.chaos.stage import Stage

STRIKE_PATIENCE_S = 20.0


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


def go_on(pid: int) -> None:
    """Let a stopped process go on, if it still lives."""
    with suppress(psutil.Error):
        psutil.Process(pid).resume()


def server_processes(stage: Stage, name: str) -> list[psutil.Process]:
    """The processes of one of the stage's servers, the first of them first."""
    home = str(stage.home / "servers")
    found = []
    for process in psutil.process_iter(["name", "cmdline", "create_time"]):
        words = " ".join(process.info["cmdline"] or [])
        with suppress(psutil.Error):
            if name in (process.info["name"] or "") and (home in words or home in process.cwd()):
                found.append(process)
    return sorted(found, key=lambda process: process.info["create_time"])


__all__ = ["Fault", "at_point", "for_a_while", "go_on", "partial", "server_processes", "strike"]
