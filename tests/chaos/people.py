"""Faults that people make, and deploys: things done twice, at once, in the middle."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import suppress
from random import Random

import psutil

from core.broker import connect, make_celery_app
from core.messages import SCORE_QUEUE, SCORE_TASK
from tests.chaos.alive import labels_since
from tests.chaos.changes import STORE_FULL, STORE_MET
from tests.chaos.fault import Fault
from tests.chaos.service import Service
from tests.chaos.stage import COMMAND_S, VERSIONS, Stage

TWO_HOURS_S = 7200
START_S = 40.0  # a process, on a busy machine
FEEDS = "feeding the queue"  # what a scheduler says when it begins
NO_MESSAGES = (b"no json", b"\xff\xfe", b"[1, 2]", b"null", b"{}", b'{"properties": {}, "body": 7}')


def run_two_schedulers(stage: Stage, random: Random) -> bool:
    """Beside the feeders of the workers; one of them ends in the middle of it."""
    names = [f"scheduler-{random.getrandbits(32)}" for _ in range(2)]
    first, second = [stage.start_service(name, "scheduler") for name in names]
    try:
        with suppress(AssertionError):
            both = (first, second)
            stage.wait_until("both feed", lambda: all(map(_feeds, both)), START_S)
            stage.hand_in_aside(random, 240)
            first.signal_group(signal.SIGKILL)
            time.sleep(random.uniform(2, 5))
            return True
        return False
    finally:
        for name in names:
            stage.end_service(name)


def enqueue_twice_at_once(stage: Stage, random: Random) -> bool:
    """Two producers on one file."""
    crawl = stage.ledger.write_crawl(random, 240)
    words = ("enqueue", crawl.path, "--source", crawl.source, "--json")
    commands = [stage.start_command(*words) for _ in range(2)]

    def wait_and_enqueue() -> None:
        said = [command.communicate(timeout=COMMAND_S)[0] for command in commands]
        assert not any("Traceback" in each for each in said), said
        stage.enqueue(crawl)  # whatever became of them

    stage.asides.start("two producers", wait_and_enqueue)
    return True


def kill_a_producer(stage: Stage, random: Random) -> bool:
    """In the middle of a load; the same command begins anew."""
    crawl = stage.ledger.write_crawl(random, 960)
    command = stage.start_command("enqueue", crawl.path, "--source", crawl.source, "--json")
    time.sleep(random.uniform(0.8, 2.5))
    alive = command.poll() is None
    command.kill()
    command.communicate()
    stage.asides.start("the producer after the killed one", lambda: stage.enqueue(crawl))
    return alive


def activate_another(stage: Stage, random: Random) -> bool:
    """A version activated in the middle, for what is handed in from then on."""
    active = stage.sql("select name from version where state = 'active'")
    other = VERSIONS[0] if active == [(VERSIONS[1],)] else VERSIONS[1]
    stage.insist("models", "activate", other, "--why", "a trial")
    stage.hand_in_aside(random, 120)
    return True


def be_two_hours_off(stage: Stage, random: Random) -> bool:
    """The clock of one worker, parent and children: until it has labelled something."""
    worker = random.choice(stage.workers())
    since = time.time()
    worker.redeploy(CHAOS_CLOCK_OFFSET_S=str(random.choice((-1, 1)) * TWO_HOURS_S))
    stage.hand_in_aside(random, 240)
    try:
        stage.wait_until("it labels", lambda: _labels(stage, worker, since), START_S)
    except AssertionError:
        return False
    finally:
        worker.redeploy(CHAOS_CLOCK_OFFSET_S="0")
    return True


def redeploy_one_by_one(stage: Stage, random: Random) -> bool:
    """Under load; for a while, old workers meet the new ones' task name and the other way round."""
    stage.task_generation += 1
    name = f"worker.score.of-{stage.task_generation}"
    stage.hand_in_aside(random, 240)
    labelled = [_redeploy_until_it_labels(stage, worker, name) for worker in stage.workers()]
    stage.task_name = name  # of what is started from now on
    return all(labelled)


def say_nonsense(stage: Stage, random: Random) -> bool:
    """Of an unknown task, with ids that are none, and what is no message at all."""
    app = make_celery_app(stage.servers.broker_url)
    try:
        with connect(app) as connection, app.amqp.Producer(connection) as producer:
            app.send_task("no.such.task", producer=producer)
            for ids in ({"chunk_id": "x", "version_id": -1}, {"chunk_id": 1}, {}):
                app.send_task(SCORE_TASK, kwargs=ids, producer=producer)
        stage.redis().lpush(SCORE_QUEUE, *NO_MESSAGES)
    finally:
        app.close()
    return True


def fill_the_store(stage: Stage, random: Random) -> bool:
    """A worker's children start anew and find no room for the version that they need."""
    worker = stage.services["worker-0"]
    flag = stage.points / STORE_FULL
    flag.touch()
    try:
        shutil.rmtree(stage.far_home, ignore_errors=True)
        for child in worker.children():
            with suppress(psutil.NoSuchProcess):
                child.kill()
        met = stage.points / STORE_MET
        with suppress(AssertionError):
            stage.wait_until("a child meets it", met.exists, START_S / 2)
            time.sleep(random.uniform(1, 4))
            return True
        return False
    finally:
        flag.unlink()
        (stage.points / STORE_MET).unlink(missing_ok=True)


def hand_in_poison(stage: Stage, random: Random) -> bool:
    """A document that ends whoever labels it, among others that are to get their labels."""
    stage.hand_in_aside(random, 48, poison=1)
    return True


def _redeploy_until_it_labels(stage: Stage, worker: Service, task_name: str) -> bool:
    since = time.time()
    worker.redeploy(CHAOS_TASK_NAME=task_name)
    with suppress(AssertionError):
        stage.wait_until("it labels", lambda: _labels(stage, worker, since), START_S / 2)
        return True
    return False


def _feeds(scheduler: Service) -> bool:
    return FEEDS in scheduler.log.read_text(encoding="utf-8", errors="replace")


def _labels(stage: Stage, worker: Service, since: float) -> bool:
    return any(labels_since(stage, child.pid, since) for child in worker.children())


PEOPLE = [
    Fault("nonsense in the queue", say_nonsense, "redis"),
    Fault("model store full", fill_the_store, "deploy"),
    Fault("poison document", hand_in_poison),
    Fault("two schedulers", run_two_schedulers, "schedulers"),
    Fault("two producers on one file", enqueue_twice_at_once),
    Fault("producer killed", kill_a_producer),
    Fault("version activated", activate_another, "version"),
    Fault("clock two hours off", be_two_hours_off, "deploy"),
    Fault("rolling redeploy", redeploy_one_by_one, "deploy"),
]
