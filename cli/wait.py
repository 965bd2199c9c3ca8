"""Wait until crawls are scored, or labelled again, telling how far the work has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cli.output import Bar, duration
from cli.services import Services
from core.broker import live_workers
from core.errors import DatabaseError, ServiceError
from db import rescoring, status
from db.engine import transaction

POLL_S = 0.5
POLL_SHARE = 0.05  # of the time at most goes into looking, however many chunks there are
PATIENCE_S = 60.0
WORKER_CALLS = 3
WORKER_LOOK_S = 60.0  # longer than a worker takes to be started again


class Patience:
    """How long a database that went away is waited for: a restart takes seconds."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + PATIENCE_S

    def use(self, error: DatabaseError) -> None:
        """Wait a moment after an error, or raise it when it has lasted too long."""
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
    patience, pace = Patience(), _Pace()
    while True:
        on_poll()
        try:
            with transaction(services.engine) as connection:
                work = status.source_work(connection, source)
        except DatabaseError as error:
            patience.use(error)
            continue
        patience = Patience()
        if work.documents:
            done = work.documents - work.documents_left
            bar.show("scoring", done, work.documents, pace.words(done, work.documents))
        if not work.open_scorings:
            return
        time.sleep(POLL_S)


def wait_until_rescored(
    services: Services,
    version_id: int,
    chunk_ids: Sequence[int],
    bar: Bar,
    on_poll: Callable[[], None] = lambda: None,
) -> None:
    """Return when the version has none of the chunks left to label.

    Also when another rescore or a rollback took them from it.

    Args:
        services: the database to look at.
        version_id: that labels them.
        chunk_ids: those that it had to label when this was called, or any more.
        bar: shows documents.
        on_poll: called each time before looking; an exception of it ends the wait.
    """
    patience, pace, total = Patience(), _Pace(), 0
    while True:
        on_poll()
        began = time.monotonic()
        try:
            with transaction(services.engine) as connection:
                left = rescoring.open_work(connection, version_id, chunk_ids)
        except DatabaseError as error:
            patience.use(error)
            continue
        patience, total = Patience(), max(total, left.documents)
        if total:
            done = total - left.documents
            bar.show("rescoring", done, total, pace.words(done, total))
        if not left.chunks:
            return
        time.sleep(max(POLL_S, (time.monotonic() - began) / POLL_SHARE))


def worker_watch(services: Services, stored: str) -> Callable[[], None]:
    """Make a look, now and then, whether a worker is there: without one a wait has no end.

    Args:
        services: the queue to ask on.
        stored: what is safe meanwhile, for the error: `crawl 3 is stored`.

    Returns:
        To be called often; it raises ServiceError when no worker is alive.
    """
    look_at = time.monotonic()

    def look() -> None:
        nonlocal look_at
        if time.monotonic() < look_at:
            return
        # A worker that loads models on a busy machine may miss a call or two.
        if not any(live_workers(services.app) for _ in range(WORKER_CALLS)):
            raise ServiceError(
                f"{stored}, but no worker is alive to label it: start `nifos worker`"
            )
        look_at = time.monotonic() + WORKER_LOOK_S

    return look
