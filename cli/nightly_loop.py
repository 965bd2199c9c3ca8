"""The loop that runs the nights as they fall due: in a thread beside `scheduler` and `up`."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from zoneinfo import ZoneInfo

import structlog

from core.errors import NifosError
from db import nights
from db.engine import Engine, transaction
from db.nights import Nightly
from producer.ingest import Progress
from producer.night_run import NightOutcome, place_of, run_night
from producer.nights import DueNight, due_nights, instant_of
from producer.rows import MAX_TEXT_BYTES

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TICK_S = 5.0
SETTLED_S = 60.0  # who writes a file pauses for less
LOOK_EVERY_S = 60.0  # during a load; a night is late after an hour
SAY_EVERY_S = 10.0
STOP_PATIENCE_S = 20.0  # a load notices a stop at its next slice, then deletes what it has loaded


class _Stop(BaseException):
    """The process is to end: the load in hand is given up."""


class NightWatch:
    """Runs what is due, from entering to leaving. Leaving gives the night in hand back.

    However often it runs, here and on other machines: a night is run once (`db.nights`). Where it
    does not end in time, because it reads a large file, the process ends without it, and the next
    watch takes the night up as it does after a crash.
    """

    def __init__(
        self, engine: Engine, zone: ZoneInfo, max_text_bytes: int = MAX_TEXT_BYTES
    ) -> None:
        self._engine = engine
        self._zone = zone
        self._max_text_bytes = max_text_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nights", daemon=True)
        self._look_at = 0.0
        self._say_at = 0.0
        self._said: dict[tuple[str, str], str | None] = {}

    def __enter__(self) -> NightWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(STOP_PATIENCE_S)
        if self._thread.is_alive():
            log.warning("night_left_to_the_next", after_s=STOP_PATIENCE_S)

    def tick(self) -> bool:
        """Run at most one night of each nightly. Returns whether any was run.

        So that many nights of one, caught up, do not keep those of another from their time.

        Raises:
            NifosError: PostgreSQL cannot be reached; the next tick tries again.
        """
        ran = False
        for nightly, night in self._look():
            if self._stop.is_set():
                break
            outcome = run_night(
                self._engine,
                nightly,
                night.date,
                night.attempt,
                zone=self._zone,
                max_text_bytes=self._max_text_bytes,
                settled_s=SETTLED_S,
                on_progress=self._between_slices,
                on_note=lambda note: log.info("file_noted", note=note),
            )
            if outcome is not None:
                self._tell(nightly, night, outcome)
                ran = True
        return ran

    def _look(self) -> list[tuple[Nightly, DueNight]]:
        """Give every night that is due its row. Returns the oldest of each nightly.

        Those tried least come first: a night that takes its process down with it, for want of
        memory, does not keep the others from being run.
        """
        chosen = []
        with transaction(self._engine) as connection:
            now = nights.read_clock(connection)
            for nightly in nights.list_nightlies(connection):
                recorded = nights.list_nights(connection, nightly.id)
                due = due_nights(nightly, recorded, now, self._zone)
                for night in due:
                    first = ("skipped", "missed") if night.skip else ("waiting", "its turn comes")
                    new = nights.record(connection, nightly.id, night.date, *first)
                    if new and night.skip:
                        log.warning("night_skipped", nightly=nightly.name, date=str(night.date))
                chosen += [(nightly, night) for night in due if not night.skip][:1]
        self._look_at = time.monotonic() + LOOK_EVERY_S
        return sorted(chosen, key=lambda pair: (pair[1].attempt, self._instant(*pair)))

    def _instant(self, nightly: Nightly, night: DueNight) -> float:
        return instant_of(night.date, nightly.at, self._zone).timestamp()

    def _between_slices(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise _Stop
        if time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + SAY_EVERY_S
            log.info(
                "night_loading",
                rows=progress.counts.read,
                bytes_read=round(progress.bytes_read),
                bytes_total=progress.bytes_total,
            )
        if time.monotonic() >= self._look_at:
            # A night that falls due during a long load is not missed: it waits for its turn.
            with suppress(NifosError):  # the load itself will say so
                self._look()

    def _tell(self, nightly: Nightly, night: DueNight, outcome: NightOutcome) -> None:
        """Say what became of a night, the same only once."""
        key = (nightly.name, str(night.date))
        if outcome.loaded is not None:
            crawl = outcome.loaded.crawl
            log.info("night_done", nightly=key[0], date=key[1], crawl_id=crawl)
            self._said.pop(key, None)
        elif self._said.get(key, "") != outcome.reason:
            state, reason = outcome.state, outcome.reason
            log.warning("night_not_done", nightly=key[0], date=key[1], state=state, reason=reason)
            self._said[key] = outcome.reason

    def _run(self) -> None:
        try:
            self._keep_on()
        except _Stop:
            return
        except Exception as error:
            log.critical("nights_broken", reason=place_of(error))
            raise
        finally:
            if not self._stop.is_set():
                # A process that lives on without its nights would look alive. As `start_upkeep`.
                log.critical("nights_ended")
                os._exit(NifosError.exit_code)

    def _keep_on(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                busy = self.tick()
            except NifosError as error:
                if str(error) != said:
                    log.warning("nights_wait", reason=str(error))
                said, busy = str(error), False
            else:
                if said:
                    log.info("nights_go_on")
                said = ""
            if not busy:
                self._stop.wait(TICK_S)
