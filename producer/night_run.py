"""Run one night: claim it, take its files in, and end it in the transaction that releases them.

It knows nothing of schedules. Killed at any point, it leaves a night that is taken up anew.
"""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.errors import ColumnsError, DatabaseError, FileNotReadyError, NifosError, ServiceError
from db import nights
from db.engine import Connection, Engine, session, transaction
from db.nights import Claim, Nightly
from producer.columns import ColumnOptions
from producer.crawl import ReadOptions, find_files
from producer.ingest import MAX_REJECT_RATIO, LoadedCrawl, Progress, ingest
from producer.night_paths import fill_in, find_paths, require_settled
from producer.rows import MAX_TEXT_BYTES

MISSING_RETRY_S = 600.0  # a crawl that is late: looking is cheap
WAITING_RETRY_S = 60.0  # a service is away, or the source is being loaded


class NightLost(ServiceError):
    """The night is no longer ours: taken over while our connection was gone, or removed."""


@dataclass(frozen=True)
class NightOutcome:
    """What became of a night: done, missing, failed, waiting, or lost to another process.

    `error` says why it failed, waits or was lost; `reason` is its line.
    """

    state: str
    loaded: LoadedCrawl | None = None
    reason: str | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class NightOptions:
    """How the files of a nightly are read; kept in its row."""

    read: ReadOptions = field(default_factory=ReadOptions)
    max_reject_ratio: float = MAX_REJECT_RATIO

    @classmethod
    def from_row(cls, stored: dict[str, Any]) -> NightOptions:
        """As `to_row` wrote it."""
        columns = ColumnOptions(
            stored.get("text_column"),
            stored.get("id_column"),
            stored.get("time_column"),
            tuple(stored.get("keep", ())),
        )
        read = ReadOptions(columns, stored.get("encoding"))
        return cls(read, stored.get("max_reject_ratio", MAX_REJECT_RATIO))

    def to_row(self) -> dict[str, Any]:
        """What is stored: the options' names on the command line."""
        columns = self.read.columns
        return {
            "text_column": columns.text,
            "id_column": columns.external_id,
            "time_column": columns.written_at,
            "keep": list(columns.keep),
            "encoding": self.read.encoding,
            "max_reject_ratio": self.max_reject_ratio,
        }


def run_night(
    engine: Engine,
    nightly: Nightly,
    date: dt.date,
    seen_attempt: int,
    *,
    zone: ZoneInfo,
    max_text_bytes: int = MAX_TEXT_BYTES,
    settled_s: float = 0.0,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> NightOutcome | None:
    """Run a night, if nobody else does or did.

    Args:
        engine: of the database.
        nightly: whose night.
        date: which.
        seen_attempt: its attempt when it was found to be due, 0 where it had no row.
        zone: of times that name none.
        max_text_bytes: of UTF-8; a longer text is rejected.
        settled_s: a file that was changed so recently is still being written.
        on_progress: told after each slice; an exception of it ends the load.
        on_note: told what is odd about a file.

    Returns:
        None: somebody else has it, or had it since.

    Raises:
        DatabaseError: PostgreSQL went away; the night can be taken up at once when it is back.
    """
    with session(engine) as keeper:
        claimed = nights.claim(keeper, nightly.id, date, seen_attempt)
        keeper.commit()
        if claimed is None:
            return None
        try:
            return _Run(engine, nightly, date, claimed, zone, max_text_bytes, settled_s).run(
                on_progress, on_note
            )
        finally:
            if not keeper.invalidated:
                nights.let_go(keeper, claimed)
                keeper.commit()


@dataclass(frozen=True)
class _Run:
    """A night in hand."""

    engine: Engine
    nightly: Nightly
    date: dt.date
    claimed: Claim
    zone: ZoneInfo
    max_text_bytes: int
    settled_s: float

    def run(
        self, on_progress: Callable[[Progress], None], on_note: Callable[[str], None]
    ) -> NightOutcome:
        try:
            loaded = self._load(on_progress, on_note)
        except NifosError as error:
            if error.retryable:  # a service is away, or a file is still being written
                return self._end("waiting", str(error), error, WAITING_RETRY_S)
            brief = error.brief if isinstance(error, ColumnsError) else str(error)
            return self._end("failed", brief, error, None)
        except Exception as error:  # noqa: BLE001 - recorded as the night's own failure
            return self._end("failed", place_of(error), error, None)
        except BaseException:
            with suppress(DatabaseError):  # then the lock goes with the connection
                self._end("waiting", "interrupted", None, 0.0)
            raise
        if loaded is None:
            reason = f"nothing matches {fill_in(self.nightly.path, self.date)}"
            return self._end("missing", reason, None, MISSING_RETRY_S)
        return NightOutcome("done", loaded)

    def _load(
        self, on_progress: Callable[[Progress], None], on_note: Callable[[str], None]
    ) -> LoadedCrawl | None:
        paths = find_paths(self.nightly.path, self.date)
        if not paths:
            return None
        require_settled(paths, self.settled_s)
        options = NightOptions.from_row(self.nightly.options)
        return ingest(
            self.engine,
            self.nightly.source,
            find_files(paths, options.read, on_note=on_note),
            zone=self.zone,
            max_text_bytes=self.max_text_bytes,
            max_reject_ratio=options.max_reject_ratio,
            on_progress=on_progress,
            on_release=lambda connection, crawl_id: self._finish(connection, crawl_id, paths),
        )

    def _finish(self, connection: Connection, crawl_id: int, paths: list[Path]) -> None:
        if find_paths(self.nightly.path, self.date) != paths:
            raise FileNotReadyError(f"{self.date}: more files came while those were read")
        if not nights.finish(connection, self.claimed, crawl_id):
            raise NightLost(
                f"the night of {self.date} was taken over by another process, "
                f"or the nightly {self.nightly.name} removed"
            )

    def _end(
        self, state: str, reason: str, error: Exception | None, retry_s: float | None
    ) -> NightOutcome:
        with transaction(self.engine) as connection:
            ours = nights.end(connection, self.claimed, state, reason, retry_s)
        return NightOutcome(state if ours else "lost", None, reason, error)


def place_of(error: Exception) -> str:
    """Type and place only: the message of a foreign exception may quote a document."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
