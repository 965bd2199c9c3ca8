"""Asks the invariants that hold at every moment while faults are under way."""

from __future__ import annotations

import threading
import time

import psycopg

from tests.chaos import invariants
from tests.chaos.stage import Stage

EVERY_S = 5.0
SHARE = 5  # of the time that asking takes: so many times it passes before the next


class Watch:
    """Asks from entering to leaving. A server that is down, or refuses to answer, is no finding.

    asked: how often all of them were answered.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.asked = 0
        self.broken: list[str] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        took_s = 0.0
        while not self.broken and not self._over.wait(max(EVERY_S, SHARE * took_s)):
            began = time.monotonic()
            self._ask()
            took_s = time.monotonic() - began

    def _ask(self) -> None:
        try:
            with self._stage.connect() as connection:
                found = invariants.broken(connection, invariants.NEVER)
        except (psycopg.OperationalError, psycopg.InternalError):
            return
        except Exception as error:  # noqa: BLE001 - the question itself is wrong
            found = [f"{type(error).__name__}: {error}"]
        self.asked += 1
        self.broken += [f"in the middle of faults: {words}" for words in found]
