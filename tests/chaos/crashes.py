"""Faults of the processes that label: killed, stopped, out of memory, on a broken GPU."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from random import Random

import psutil

from tests.chaos.fault import Fault, at_point, go_on, strike
from tests.chaos.points import POINTS
from tests.chaos.stage import Stage

LEASE_S = 60.0
START_S = 60.0  # a worker, on a busy machine
ELSEWHERE = "elsewhere"


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


def stop_a_worker(stage: Stage, random: Random) -> bool:
    """It takes messages with it: work is handed out, then it is killed."""
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

    stopped_at = time.monotonic()

    def overtaken() -> bool:
        rows = stage.sql(
            "select state from scoring where chunk_id = %s and version_id = %s",
            *(found["chunk"], found["version"]),
        )
        return rows == [("done",)]

    def over() -> bool:
        return overtaken() or not psutil.pid_exists(found["pid"])

    try:
        with suppress(AssertionError):  # in a round those who could are killed meanwhile
            stage.wait_until("another finishes the chunk", over, 2 * LEASE_S + 30)
        done = overtaken() and psutil.pid_exists(found["pid"])
    finally:
        go_on(found["pid"])
    if done:
        stage.overtaken_s.append(time.monotonic() - stopped_at)
    return done


def break_the_gpu(stage: Stage, _random: Random) -> bool:
    """A sticky error: each child that comes next meets it too, until the third."""
    return sum(strike(stage, "computing", "no-gpu-memory") is not None for _ in range(3)) > 0


def kill_a_worker_elsewhere(stage: Stage, random: Random) -> bool:
    """One of another machine, with chunks in hand: nobody there sees it die; its leases end."""
    name = f"{ELSEWHERE}-{random.getrandbits(32)}"
    worker = stage.start_service(name, "worker", CHAOS_MACHINE=name)

    def stopped_with_a_chunk() -> bool:
        if not _holds(stage, name):
            return False
        worker.signal_group(signal.SIGSTOP)
        holds = _holds(stage, name)
        if not holds:
            worker.signal_group(signal.SIGCONT)
        return holds

    try:
        stage.wait_until("it labels", stopped_with_a_chunk, START_S)
    except AssertionError:
        return False
    finally:
        stage.end_service(name)  # nobody starts it again
    return _holds(stage, name)


def _holds(stage: Stage, machine: str) -> bool:
    query = "select 1 from scoring where state = 'running' and starts_with(holder, %s)"
    return bool(stage.sql(query, f"{machine}/"))


CRASHES = [
    *(
        Fault(f"{whom} killed at {point}", at_point(point, f"kill {whom}"))
        for whom in ("child", "parent")
        for point in POINTS
    ),
    Fault("child killed from outside", kill_any_child, weight=4),
    Fault("worker stopped, then killed", stop_a_worker),
    Fault("worker of another machine killed", kill_a_worker_elsewhere, long_s=START_S),
    Fault("zombie", make_a_zombie, long_s=LEASE_S + 10),
    Fault("stopped between fence and commit", stop_in_the_transaction, long_s=LEASE_S + 10),
    Fault("out of memory", at_point("computing", "no-memory")),
    Fault("GPU out of memory", at_point("computing", "no-gpu-memory")),
    Fault("sticky GPU error", break_the_gpu),
]
