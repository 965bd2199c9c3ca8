"""Work for the workers, as long as it lasts: crawls handed in by the real command."""

from __future__ import annotations

import threading
import time
from random import Random

from tests.chaos.stage import Stage

LOW_WATER = 20  # open scorings; fewer, and faults would find nobody at work
CRAWL_DOCUMENTS = 1_440


class Load:
    """Keeps the stage at work from entering to `stop`, or to leaving."""

    def __init__(self, stage: Stage, random: Random, documents: int = CRAWL_DOCUMENTS) -> None:
        self._stage = stage
        self._random = random
        self._documents = documents
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.over_at = 0.0  # when the last one was in, by the monotonic clock
        self.broken: list[str] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self.join()

    def stop(self) -> None:
        """Hand in no more; what is being handed in goes on."""
        self._over.set()

    def join(self) -> None:
        """Wait until the last one is in."""
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                if 0 <= self._stage.open_work() < LOW_WATER:
                    self._stage.new_crawl(self._random, self._documents)
                self._over.wait(0.2)
        except Exception as error:  # noqa: BLE001 - whatever it is, work did not come any more
            self.broken.append(f"load: {type(error).__name__}: {error}")
        self.over_at = time.monotonic()
