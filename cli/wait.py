"""Wait until a source's crawls are scored, telling how far the work has come."""

from __future__ import annotations

import time
from collections.abc import Callable

from cli.output import Bar, duration
from cli.services import Services
from core.errors import DatabaseError
from db import status
from db.engine import transaction

POLL_S = 0.5
PATIENCE_S = 60.0


class _Patience:
    """How long a database that went away is waited for: a restart takes seconds."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + PATIENCE_S

    def use(self, error: DatabaseError) -> None:
        if time.monotonic() > self._deadline:
            raise error
        time.sleep(POLL_S)


class _Pace:
    """How fast documents get labelled, since the first look."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def words(self, done: int, total: int) -> str:
        now = time.monotonic()
        since, before = self._first = self._first or (now, done)
        rate = (done - before) / max(now - since, 0.001)
        left = f", {rate:,.0f} a second, {duration((total - done) / rate)} left" if rate else ""
        return f"{done:,} of {total:,} documents{left}"


def has_open_work(services: Services, source: str) -> bool:
    """Tell whether a scoring of the source is pending or running."""
    with transaction(services.engine) as connection:
        return status.source_work(connection, source).open_scorings > 0


def wait_until_scored(
    services: Services, source: str, bar: Bar, on_poll: Callable[[], None] = lambda: None
) -> None:
    """Return when no scoring of the source is pending or running.

    All of the source's, not only the last crawl's: so that `run` after an interrupted `run`
    finishes what that one left.

    Args:
        services: the database to look at.
        source: by name.
        bar: shows documents.
        on_poll: called each time before looking; an exception of it ends the wait.
    """
    patience, pace = _Patience(), _Pace()
    while True:
        on_poll()
        try:
            with transaction(services.engine) as connection:
                work = status.source_work(connection, source)
        except DatabaseError as error:
            patience.use(error)
            continue
        patience = _Patience()
        if work.documents:
            done = work.documents - work.documents_left
            bar.show("scoring", done, work.documents, pace.words(done, work.documents))
        if not work.open_scorings:
            return
        time.sleep(POLL_S)
