"""Rounds that alternate between the sides of a claim, and what is said of them.

A machine that others use too gets slower and faster by the minute: sides are compared within a
round, each round in an order of its own, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """What some rounds gave."""

    median: float
    least: float
    most: float

    def show(self, form: str = ",.0f") -> str:
        """The median, then least to most, in one number format."""
        if self.least == self.most:
            return f"{self.median:{form}}"
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


def spread(values: Iterable[float]) -> Spread:
    """Median, least and most.

    Raises:
        ValueError: there are none.
    """
    each = sorted(values)
    if not each:
        raise ValueError("no rounds")
    return Spread(statistics.median(each), each[0], each[-1])


def spread_of(rounds: Sequence[Mapping[str, float]], name: str) -> Spread:
    """The spread of what every round says under a name."""
    return spread(one[name] for one in rounds)


def ratio(rounds: Sequence[Mapping[str, float]], above: str, below: str) -> Spread:
    """The spread of the rounds' own ratios, each of numbers taken one after the other."""
    return spread(one[above] / one[below] for one in rounds)


def interleave(
    sides: Mapping[str, Callable[[], T]],
    rounds: int,
    on_round: Callable[[int, dict[str, T]], None] | None = None,
) -> list[dict[str, T]]:
    """Run every side once a round, each round in another order.

    Args:
        sides: by name.
        rounds: how many.
        on_round: called after each with its number, from 1, and what it gave.

    Returns:
        What each side gave, by name, a mapping for each round, in the order of `sides`.
    """
    order = random.Random(0)  # noqa: S311 - an order, no secret
    gathered: list[dict[str, T]] = []
    for number in range(1, rounds + 1):
        gave = {name: sides[name]() for name in order.sample(list(sides), len(sides))}
        gathered.append({name: gave[name] for name in sides})
        if on_round is not None:
            on_round(number, gathered[-1])
    return gathered
