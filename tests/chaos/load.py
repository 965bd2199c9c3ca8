"""Work for the workers, as long as it lasts: crawls handed in by the real command."""

from __future__ import annotations

import threading
from random import Random
from types import TracebackType

from tests.chaos.stage import Stage

LOW_WATER = 20  # open scorings; fewer, and faults would find nobody at work
CRAWL_DOCUMENTS = 1_440


class Load:
    """Keeps the stage at work from entering to leaving."""

    def __init__(self, stage: Stage, random: Random, documents: int = CRAWL_DOCUMENTS) -> None:
        self._stage = stage
        self._random = random
        self._documents = documents
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.broken: list[str] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                if 0 <= self._stage.open_work() < LOW_WATER:
                    self._stage.new_crawl(self._random, self._documents)
                self._over.wait(0.2)
        except AssertionError as error:
            self.broken.append(f"load: {error}")
