"""The real `nifos`, with a fake classifier in its children and points at which faults strike.

    python -m tests.chaos.worker worker        # or enqueue, scheduler, models, ...

Run this way instead of by a hook in the product: what Celery spawns imports this module again, as
`__mp_main__`, so that its children are changed as their parent is. What is changed, and nothing
else: `sentiment.classifier` is the fake (no torch to import, so that a killed worker is back in two
seconds, and every label is known beforehand), chunks are small, and by request the clock, the
machine or the task's name is another's. Leases, fences, timeouts, settings and SQL are the
product's.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

DIRECTORY = "CHAOS_DIRECTORY"
CHUNK_DOCUMENTS = "CHAOS_CHUNK_DOCUMENTS"
DOCUMENT_S = "CHAOS_DOCUMENT_S"
CLOCK_OFFSET_S = "CHAOS_CLOCK_OFFSET_S"
TASK_NAME = "CHAOS_TASK_NAME"
MACHINE = "CHAOS_MACHINE"


def change_clock() -> None:
    """Let this process believe in another hour. Before anything imports the clock by name."""
    offset_s = float(os.environ.get(CLOCK_OFFSET_S, "0"))
    real = time.time
    if offset_s:
        time.time = lambda: real() + offset_s


def change_machine() -> None:
    """Let this process be of another machine. Before anything imports the name of it by name."""
    machine = os.environ.get(MACHINE)
    if machine:
        from core import holder  # noqa: PLC0415 - only then

        whole = f"{machine}/0/0"
        holder.this_machine = lambda: whole


if __name__ in ("__main__", "__mp_main__"):
    change_clock()
    change_machine()
    from tests.chaos import changes

    changes.change_task_name(os.environ.get(TASK_NAME))
    changes.exchange_classifier(float(os.environ.get(DOCUMENT_S, "0")))
    changes.put_points(Path(os.environ[DIRECTORY]))

if __name__ == "__main__":
    from cli.main import main
    from producer import chunks

    # Small, so that many are under way when a fault strikes.
    chunks.CHUNK_DOCUMENTS = int(os.environ.get(CHUNK_DOCUMENTS, chunks.CHUNK_DOCUMENTS))
    main()
