"""Make the next item in a thread while the last one is used: reading beside writing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

LOOK_S = 0.1  # how soon the thread sees that nobody wants more


def read_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Give the items of an iterator, which runs in a thread of its own, one item ahead.

    What it raises is raised here. Close the result (or run it to its end): the thread has ended
    then, wherever it was.
    """
    handed = _Handed[Item]()
    thread = threading.Thread(target=handed.fill, args=(items,), name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := handed.get(), _Ended):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        handed.unwanted.set()
        thread.join()


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None


class _Handed(Generic[Item]):
    """Room for one item, from one thread to another."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Item | _Ended] = queue.Queue(maxsize=1)
        self.unwanted = threading.Event()

    def get(self) -> Item | _Ended:
        return self._queue.get()

    def fill(self, items: Iterator[Item]) -> None:
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are used
            self._put(_Ended(error))
        else:
            self._put(_Ended(None))

    def _put(self, item: Item | _Ended) -> bool:
        while not self.unwanted.is_set():
            try:
                self._queue.put(item, timeout=LOOK_S)
            except queue.Full:
                continue
            return True
        return False
