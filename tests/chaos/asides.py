"""What a fault leaves behind for others to finish: it is over, and its crawl is yet to come in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Asides:
    """Work in threads of its own, so that no fault lasts as long as a command that it has begun."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._broken: list[str] = []
        self._lock = threading.Lock()
        self.over_at = 0.0  # when the last of them ended, by the monotonic clock

    def start(self, what: str, do: Callable[[], object]) -> None:
        """Begin it. What it raises is a finding."""

        def run() -> None:
            try:
                do()
            except Exception as error:  # noqa: BLE001 - said by `join`
                self._broken.append(f"{what}: {type(error).__name__}: {error}")
            self.over_at = time.monotonic()

        thread = threading.Thread(target=run, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def join(self) -> list[str]:
        """Wait for all of them. Returns what is wrong, once."""
        with self._lock:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()
        broken, self._broken = self._broken, []
        return broken
