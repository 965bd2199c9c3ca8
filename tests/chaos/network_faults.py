"""Faults of the network before each server."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.chaos.fault import Fault, for_a_while
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Stage

LATENCY_S = 0.05


def _proxy(stage: Stage, server: str) -> Proxy:
    return stage.database if server == "PostgreSQL" else stage.broker


def _refused(server: str) -> Fault:
    def begin(stage: Stage) -> None:
        _proxy(stage, server).refuse()
        _proxy(stage, server).reset_all()

    do = for_a_while(begin, lambda stage: _proxy(stage, server).listen(), 3)
    return Fault(f"{server} refuses", do, f"network of {server}")


def _reset(server: str) -> Fault:
    def do(stage: Stage, _random: Random) -> bool:
        _proxy(stage, server).reset_all()
        return True

    return Fault(f"connections to {server} reset", do, f"network of {server}", weight=4)


def _half_open(server: str) -> Fault:
    def do(stage: Stage, _random: Random) -> bool:
        _proxy(stage, server).silence_all()
        return True

    return Fault(f"connections to {server} half-open", do, f"network of {server}")


def _swallowed(server: str) -> Fault:
    def begin(stage: Stage) -> None:
        _proxy(stage, server).swallow_new = True
        _proxy(stage, server).reset_all()

    def end(stage: Stage) -> None:
        _proxy(stage, server).swallow_new = False

    do = for_a_while(begin, end, 6)
    return Fault(f"new connections to {server} half-open", do, f"network of {server}")


def _slow(server: str) -> Fault:
    def begin(stage: Stage) -> None:
        _proxy(stage, server).latency_s = LATENCY_S

    def end(stage: Stage) -> None:
        _proxy(stage, server).latency_s = 0.0

    return Fault(f"{server} slow", for_a_while(begin, end, 4), f"network of {server}")


def _all() -> Iterator[Fault]:
    for server in ("Redis", "PostgreSQL"):
        for make in (_refused, _reset, _half_open, _swallowed, _slow):
            yield make(server)


NETWORK_FAULTS = list(_all())
