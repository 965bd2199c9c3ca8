"""A crew of one that works in the caller's process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.crew import Make


class CrewHere:
    """As a crew of one, without the seconds that a process takes to import torch."""

    def __init__(self, make: Make, *arguments: Any, processes: int = 1) -> None:
        self._work = make(*arguments)

    def run(self, pieces: Sequence[Any]) -> tuple[float, list[Any]]:
        start = time.perf_counter()
        gave = [self._work(piece) for piece in pieces]
        return time.perf_counter() - start, gave

    def __enter__(self) -> CrewHere:
        return self

    def __exit__(self, *_error: object) -> None:
        pass
