"""Processes that share pieces of work."""

from __future__ import annotations

import os
from functools import partial

import pytest

from benchmarks.crew import Crew


def test_a_crew_works_every_piece_once_and_gives_them_in_order() -> None:
    # `partial(pow, 2)` is made in the children: 2 to the power of a piece.
    with Crew(partial, pow, 2, processes=2) as crew:
        for _round in range(2):
            seconds, gave = crew.run([5, 0, 3, 1, 7])
            assert gave == [32, 1, 8, 2, 128]
            assert seconds > 0


def test_a_crew_whose_process_dies_says_so() -> None:
    with Crew(partial, os._exit) as crew, pytest.raises(EOFError):
        crew.run([3])
