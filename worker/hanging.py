"""A process that hangs in a document ends itself, so that its end can name the document."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import NifosError
from db.scorings import LEASE_S

HANG_S = 45.0
"""Without a batch: a batch takes seconds at most. Sooner than the lease, which would only tell that
nobody has heard of the process."""

if HANG_S >= LEASE_S:
    raise NifosError("a process that hangs must end before its lease does")


@contextmanager
def ended_if_hanging(on_batch: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """End this process when nothing has happened for `HANG_S`. Gives what to call at each batch.

    The interpreter's own watchdog does it: a thread without the lock that a computation may hold.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # where it writes a traceback

        def begin() -> None:
            faulthandler.dump_traceback_later(HANG_S, exit=True, file=nowhere)

        def batch_done() -> None:
            begin()
            on_batch()

        begin()
        try:
            yield batch_done
        finally:
            faulthandler.cancel_dump_traceback_later()
