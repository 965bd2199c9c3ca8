"""Faults of the processes that label: killed, stopped, out of memory, on a broken GPU."""

from __future__ import annotations

import signal
from contextlib import suppress
from random import Random

import psutil

from tests.chaos.fault import Fault, at_point, go_on, strike
from tests.chaos.points import POINTS
from tests.chaos.stage import Stage

LEASE_S = 60.0


def kill_any_child(stage: Stage, random: Random) -> bool:
    """What the kernel does when memory runs out, at no point of our choosing."""
    tried = {pid for *_rest, pid in stage.running(min_tries=1)}
    children = [
        child
        for worker in stage.workers()
        for child in worker.children()
        if str(child.pid) not in tried
    ]
    if not children:
        return False
    with suppress(psutil.NoSuchProcess):
        random.choice(children).kill()
    return True


def stop_an_idle_worker(stage: Stage, random: Random) -> bool:
    """A stopped worker takes messages with it: work is handed out, then it is killed."""
    worker = random.choice(stage.workers())
    if not worker.pid:
        return False
    with suppress(psutil.Error):
        parent = psutil.Process(worker.pid)
        family = [parent, *parent.children()]
        for process in family:
            process.suspend()
        try:
            stage.new_crawl(random, 120)
        finally:
            for process in family:
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
        return True
    return False


def make_a_zombie(stage: Stage, _random: Random) -> bool:
    """A child stops for longer than its lease; another finishes its chunk; it comes back."""
    return _stopped_until_overtaken(stage, "computing")


def stop_in_the_transaction(stage: Stage, _random: Random) -> bool:
    """A child stops between fence and COMMIT: its rows are locked until the server ends that."""
    return _stopped_until_overtaken(stage, "after_fence")


def _stopped_until_overtaken(stage: Stage, point: str) -> bool:
    found = strike(stage, point, "stop")
    if found is None:
        return False

    def overtaken() -> bool:
        rows = stage.sql(
            "select state from scoring where chunk_id = %s and version_id = %s",
            *(found["chunk"], found["version"]),
        )
        return rows == [("done",)] or not psutil.pid_exists(found["pid"])

    try:
        stage.wait_until("another finishes the chunk", overtaken, 2 * LEASE_S + 30)
    finally:
        go_on(found["pid"])
    return True


def break_the_gpu(stage: Stage, _random: Random) -> bool:
    """A sticky error: each child that comes next meets it too, until the third."""
    return sum(strike(stage, "computing", "no-gpu-memory") is not None for _ in range(3)) > 0


CRASHES = [
    *(
        Fault(f"{whom} killed at {point}", at_point(point, f"kill {whom}"))
        for whom in ("child", "parent")
        for point in POINTS
    ),
    Fault("child killed from outside", kill_any_child, weight=4),
    Fault("idle worker stopped, then killed", stop_an_idle_worker),
    Fault("zombie", make_a_zombie, long_s=LEASE_S + 10),
    Fault("stopped between fence and commit", stop_in_the_transaction, long_s=LEASE_S + 10),
    Fault("out of memory", at_point("computing", "no-memory")),
    Fault("GPU out of memory", at_point("computing", "no-gpu-memory")),
    Fault("sticky GPU error", break_the_gpu),
]
