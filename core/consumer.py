"""Run Celery's worker in this process: the parent that hands messages to its children."""

from __future__ import annotations

import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.platforms import EX_OK
from celery.signals import worker_ready
from celery.worker import state

from core.messages import SCORE_QUEUE


def consume(
    app: Celery,
    *,
    processes: int,
    on_ready: Callable[[], None] = lambda: None,
    queue: str = SCORE_QUEUE,
) -> int:
    """Work messages until told to stop (SIGTERM: after the chunks in hand).

    Args:
        app: with the modules of its tasks in `include`.
        processes: children, each its own interpreter; 0: tasks run in this process, and must take
            no time. Such a consumer does not answer for the workers.
        on_ready: called once, when messages begin to be taken.
        queue: where from.

    Returns:
        Celery's exit code.
    """
    # It warns root of pickled messages; ours are JSON, and checked.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker_ready.connect(lambda **_signal: on_ready(), weak=False)
    app.conf.worker_enable_remote_control = processes > 0
    worker = app.Worker(
        hostname=f"nifos-{os.getpid()}@{socket.gethostname()}",
        pool_cls="prefork" if processes else "solo",
        concurrency=max(1, processes),
        queues=[queue],
        loglevel="WARNING",
        quiet=True,
        # Workers have nothing to say to one another: the database decides.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def stop_when_closed(descriptor: int) -> None:
    """End this process when the other end of a pipe is closed: told by its parent, or by its death.

    Ctrl-C, which a terminal sends to the whole group, is then the parent's to answer.
    """
    worker_ready.connect(_leave_interrupts_to_parent)

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        state.should_stop = EX_OK  # what SIGTERM sets, without Celery's word on the terminal

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _leave_interrupts_to_parent(**_signal: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
