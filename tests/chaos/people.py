"""Faults that people make, and deploys: things done twice, at once, in the middle."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from random import Random

import psutil

from core.broker import connect, make_celery_app
from core.messages import SCORE_QUEUE, SCORE_TASK
from tests.chaos.changes import STORE_FULL
from tests.chaos.fault import Fault
from tests.chaos.stage import VERSIONS, Stage

TWO_HOURS_S = 7200
NO_MESSAGES = (b"no json", b"\xff\xfe", b"[1, 2]", b"null", b"{}", b'{"properties": {}, "body": 7}')


def run_two_schedulers(stage: Stage, random: Random) -> bool:
    """Beside the feeders of the workers; one of them ends in the middle of it."""
    names = [f"scheduler-{random.getrandbits(32)}" for _ in range(2)]
    for name in names:
        stage.start_service(name, "scheduler")
    stage.new_crawl(random, 240)
    for name in names:
        stage.end_service(name)
    return True


def enqueue_twice_at_once(stage: Stage, random: Random) -> bool:
    """Two producers on one file."""
    crawl = stage.ledger.write_crawl(random, 240)
    words = ("enqueue", crawl.path, "--source", crawl.source, "--json")
    commands = [stage.start_command(*words) for _ in range(2)]
    said = [command.communicate(timeout=180)[0] for command in commands]
    assert not any("Traceback" in each for each in said), said
    stage.enqueue(crawl)  # whatever became of them
    return True


def kill_a_producer(stage: Stage, random: Random) -> bool:
    """In the middle of a load; the same command begins anew."""
    crawl = stage.ledger.write_crawl(random, 960)
    command = stage.start_command("enqueue", crawl.path, "--source", crawl.source, "--json")
    time.sleep(random.uniform(0.8, 2.5))
    command.kill()
    command.communicate()
    stage.enqueue(crawl)
    return True


def activate_another(stage: Stage, random: Random) -> bool:
    """A version activated in the middle, for what is handed in from then on."""
    active = stage.sql("select name from version where state = 'active'")
    other = VERSIONS[0] if active == [(VERSIONS[1],)] else VERSIONS[1]
    stage.insist("models", "activate", other, "--why", "a trial")
    stage.new_crawl(random, 120)
    return True


def be_two_hours_off(stage: Stage, random: Random) -> bool:
    """The clock of one worker, parent and children."""
    worker = random.choice(stage.workers())
    worker.redeploy(CHAOS_CLOCK_OFFSET_S=str(random.choice((-1, 1)) * TWO_HOURS_S))
    stage.new_crawl(random, 240)
    worker.redeploy(CHAOS_CLOCK_OFFSET_S="0")
    return True


def redeploy_one_by_one(stage: Stage, random: Random) -> bool:
    """Under load; for a while, old workers meet the new ones' task name and the other way round."""
    stage.task_generation += 1
    name = f"worker.score.of-{stage.task_generation}"
    crawl = stage.ledger.write_crawl(random, 240)
    for worker in stage.workers():
        worker.redeploy(CHAOS_TASK_NAME=name)
        stage.enqueue(crawl)
    return True


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
        time.sleep(random.uniform(4, 8))
    finally:
        flag.unlink()
    return True


def hand_in_poison(stage: Stage, random: Random) -> bool:
    """A document that ends whoever labels it, among others that are to get their labels."""
    stage.new_crawl(random, 48, poison=1)
    return True


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
