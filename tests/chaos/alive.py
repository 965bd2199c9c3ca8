"""Whether all who are to label are there: one worker alone would finish the work too."""

from __future__ import annotations

import socket
import time
from random import Random

from core.broker import connect, make_celery_app
from tests.chaos.points import LABELLED
from tests.chaos.stage import CHILDREN, Stage

PING_S = 2.0
CRAWL_DOCUMENTS = 480


def silent_workers(stage: Stage) -> list[str]:
    """Workers that do not answer a ping."""
    names = {f"nifos-{worker.pid}@{socket.gethostname()}": worker for worker in stage.workers()}
    app = make_celery_app(stage.servers.broker_url)
    try:
        with connect(app) as connection:
            replies = app.control.ping(
                destination=list(names), timeout=PING_S, connection=connection
            )
    finally:
        app.close()
    answered = {name for reply in replies for name in reply}
    return [f"{w.name} does not answer" for name, w in names.items() if name not in answered]


def labels_since(stage: Stage, pid: int, since: float) -> bool:
    """Whether a child has labelled a chunk since then, by the wall clock."""
    path = stage.points / LABELLED / str(pid)
    return path.exists() and path.stat().st_mtime >= since


def idle_children(stage: Stage, random: Random, allowed_s: float) -> list[str]:
    """Give out work until every child of every worker has labelled; who has not in that time."""
    since, deadline = time.time(), time.monotonic() + allowed_s
    while idle := _idle(stage, since):
        if time.monotonic() > deadline:
            return [f"{words} in {allowed_s:.0f} s of rest" for words in idle]
        if stage.open_work() == 0:
            stage.new_crawl(random, CRAWL_DOCUMENTS)
        time.sleep(0.2)
    return []


def _idle(stage: Stage, since: float) -> list[str]:
    found = []
    for worker in stage.workers():
        children = worker.children()
        if len(children) < CHILDREN:
            found.append(f"{worker.name} has {len(children)} children")
        found += [
            f"child {child.pid} of {worker.name} has labelled nothing"
            for child in children
            if not labels_since(stage, child.pid, since)
        ]
    return found
