"""Processes that load something once and then work at a signal, so that only the work is timed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from benchmarks.report import quiet_logs

# Runs in the children: made of plain arguments there, then called with each piece of work.
Make = Callable[..., Callable[[Any], Any]]


class Crew:
    """As many processes as asked for, that share pieces of work by a counter, as workers do.

    Args:
        make: a module's function; called in every process with `arguments`, gives what works a
            piece.
        arguments: of `make`; they and the pieces and results are pickled.
        processes: how many.
    """

    def __init__(self, make: Make, *arguments: Any, processes: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._next: Synchronized[int] = context.Value("l", 0)
        self._children = []
        self._pipes: list[Connection] = []
        for _child in range(processes):
            ours, theirs = context.Pipe()
            child = context.Process(
                target=_work, args=(theirs, self._next, make, arguments), daemon=True
            )
            child.start()
            theirs.close()  # else the end of the child would not end the pipe
            self._children.append(child)
            self._pipes.append(ours)
        for pipe in self._pipes:
            pipe.recv()

    def run(self, pieces: Sequence[Any]) -> tuple[float, list[Any]]:
        """Work all pieces.

        Returns:
            Seconds from the signal until the last process had no more to do, and what each piece
            gave, in their order.

        Raises:
            EOFError: a process died; its reason is on stderr.
        """
        self._next.value = 0
        for pipe in self._pipes:
            pipe.send(pieces)
        for pipe in self._pipes:
            pipe.recv()  # it holds the pieces
        start = time.perf_counter()
        for pipe in self._pipes:
            pipe.send(None)
        gave = dict(item for pipe in self._pipes for item in pipe.recv())
        return time.perf_counter() - start, [gave[place] for place in range(len(pieces))]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for child in self._children:
            child.join()


def _work(
    pipe: Connection, counter: Synchronized[int], make: Make, arguments: tuple[Any, ...]
) -> None:
    quiet_logs()
    work = make(*arguments)
    pipe.send(None)
    while True:
        try:
            pieces = pipe.recv()
        except EOFError:  # the crew is dismissed
            return
        pipe.send(None)
        pipe.recv()
        gave = []
        while True:
            with counter.get_lock():
                place = counter.value
                counter.value += 1
            if place >= len(pieces):
                break
            gave.append((place, work(pieces[place])))
        pipe.send(gave)
