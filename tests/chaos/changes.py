"""What `tests.chaos.worker` changes in its process: the classifier, points on the way, a name.

Importing it loads neither Celery nor the modules that read the task's name.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

from core import messages
from db import labels
from sentiment import remote
from tests.chaos import fake_classifier
from tests.chaos.points import LABELLED, Points, port_of
from worker import leases, score

STORE_FULL = "store-full"  # while a file of this name is there, no version can be fetched
STORE_MET = "store-met"  # a file that shows that one was to be


def change_task_name(name: str | None) -> None:
    """Be of another release, whose task has another name."""
    messages.SCORE_TASK = name or messages.SCORE_TASK


def exchange_classifier(document_s: float) -> None:
    """Let the worker's children load the fake where they ask for the classifier."""
    sys.modules["sentiment.classifier"] = fake_classifier
    fake_classifier.document_s = document_s


def put_points(directory: Path) -> None:
    """Put the points where a chunk passes: see `tests.chaos.points.POINTS`."""
    points = Points(directory)
    fake_classifier.points = points
    download_whole = remote.RemoteVersions.download
    begin_lease, finish, score_one = leases.Lease.__init__, labels.finish, score.Scorer.score

    def claimed(self: Any, engine: Any, key: Any, attempt: int) -> None:
        begin_lease(self, engine, key, attempt)
        points.key = (key.chunk_id, key.version_id)
        points.reached("claimed")

    def finished(connection: Any, *arguments: Any, **named: Any) -> bool:
        points.reached("before_fence")
        done = finish(connection, *arguments, **named)
        driver = connection.connection.driver_connection
        points.connection_port = lambda: port_of(driver.fileno())
        points.reached("after_fence")
        return done

    def scored(self: Any, key: Any) -> bool:
        done = score_one(self, key)
        if done:
            (directory / LABELLED / str(os.getpid())).touch()
            points.reached("committed")
        return done

    def download(self: Any, name: str, aside: Path) -> None:
        if (directory / STORE_FULL).exists():
            (directory / STORE_MET).touch()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        download_whole(self, name, aside)

    remote.RemoteVersions.download = download
    leases.Lease.__init__ = claimed
    labels.finish = finished
    score.Scorer.score = scored
