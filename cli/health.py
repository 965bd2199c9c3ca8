"""Whether rows still move where work is pending: a judgement of facts that others have read. Pure.

A process that is alive says nothing: a worker may answer and label nothing. What counts is that
chunks end. Each problem is one line, with the command to type next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from db.health import Movement

STILL_MINUTES = 10.0
"""Without an end of any chunk: a chunk of 4,096 takes seconds on a GPU and minutes on a CPU."""

LONGEST_TIMES = 3
"""How much longer than the longest of the last chunks one may take."""

GRACE_S = 60.0
"""For what is put right within seconds: a worker that starts again, a feeder's tick, a lease."""

FREE_SHARE, FREE_BYTES = 0.05, 1 << 30
"""A disk with less than both is nearly full: PostgreSQL stops where it cannot write."""


@dataclass(frozen=True)
class OverdueNight:
    """A night that should be done: `late_s` after its time, and what became of it so far."""

    nightly: str
    date: str
    state: str
    late_s: float


@dataclass(frozen=True)
class Facts:
    """What is so at this moment.

    workers: names of those that answered. depth: messages in the queue. trainers: that run.
    retrain_s: how long the open retrain has been asked for; None: there is none. disk_free,
    disk_size: bytes, of the embedded servers'; None: the database is somewhere else.
    """

    movement: Movement
    workers: Sequence[str]
    depth: int
    trainers: int = 0
    retrain_s: float | None = None
    nights: Sequence[OverdueNight] = ()
    disk_free: int | None = None
    disk_size: int = 0


@dataclass(frozen=True)
class Problem:
    """Something that does not move. `what` is for machines, `words` for people."""

    what: str
    words: str
    command: str


NIGHT_GRACE_S = {"not run": 600.0, "failed": 0.0}
NIGHT_PATIENCE_S = 3600.0
"""Of other states: files come late, and a service that is away comes back."""


def judge(facts: Facts, still_minutes: float = STILL_MINUTES) -> list[Problem]:
    """What is wrong, the gravest first; an empty list is health.

    Args:
        facts: as they were read.
        still_minutes: how long no chunk may end although some are open. Chunks that take longer
            here are given the time that they take.
    """
    return [
        *_work(facts, max(still_minutes * 60, LONGEST_TIMES * facts.movement.longest_s)),
        *_failed(facts.movement),
        *_nights(facts.nights),
        *_trainer(facts),
        *_disk(facts),
    ]


def _work(facts: Facts, limit_s: float) -> Iterator[Problem]:
    moves = facts.movement
    if moves.still_s is None:
        return
    open_chunks = f"{moves.pending + moves.running:,} chunks"
    if moves.expired:
        yield Problem(
            "leases",
            f"{moves.expired:,} chunks belong to workers that are gone, and nobody takes them back",
            "nifos worker",
        )
    if not facts.workers:
        if moves.still_s > GRACE_S:
            words = f"no worker is alive, and {open_chunks} are to be labelled"
            yield Problem("worker", words, "nifos worker")
    elif not facts.depth and _longer(moves.due_s, GRACE_S) and _silent(moves):
        words = f"{moves.pending:,} chunks are due and nobody puts them on the queue"
        yield Problem("feeder", words, "nifos doctor")
    elif moves.still_s > limit_s:
        yield _still(facts, open_chunks, moves.still_s)


def _still(facts: Facts, open_chunks: str, still_s: float) -> Problem:
    moves = facts.movement
    for_long = f"for {still_s / 60:,.0f} minutes"
    if facts.depth and not moves.running:
        words = f"{facts.depth:,} messages wait and workers that answer took none {for_long}"
        return Problem("taking", f"{words}: stop them and start them again", "nifos worker")
    words = f"no chunk has ended {for_long} and {open_chunks} are to be labelled"
    if moves.watched:
        words += f"; {moves.watched:,} ended a worker before"
    if moves.reason is not None:
        words += f" (the last attempt: {moves.reason})"
    return Problem("still", words, "nifos doctor")


def _failed(moves: Movement) -> Iterator[Problem]:
    if moves.failed:
        words = f"{moves.failed:,} chunks failed ({moves.failed_reason})"
        yield Problem("failed", words, "nifos retry")


def _nights(nights: Sequence[OverdueNight]) -> Iterator[Problem]:
    for night in nights:
        if night.late_s > NIGHT_GRACE_S.get(night.state, NIGHT_PATIENCE_S):
            begins = night.state in ("not run", "interrupted")
            yield Problem(
                "night",
                f"the night of {night.date} of {night.nightly} is {night.state}",
                "nifos scheduler" if begins else f"nifos nightly missing {night.nightly}",
            )


def _trainer(facts: Facts) -> Iterator[Problem]:
    if not facts.trainers and _longer(facts.retrain_s, GRACE_S):
        yield Problem("trainer", "a retrain waits and no trainer runs", "nifos trainer")


def _disk(facts: Facts) -> Iterator[Problem]:
    free = facts.disk_free
    if free is not None and free < min(FREE_BYTES, FREE_SHARE * facts.disk_size):
        words = f"the disk of NIFOS_HOME is nearly full: {free / (1 << 20):,.0f} MiB are free"
        yield Problem("disk", words, "nifos status")


def _silent(moves: Movement) -> bool:
    return moves.published_s is None or moves.published_s > GRACE_S


def _longer(seconds: float | None, limit_s: float) -> bool:
    return seconds is not None and seconds > limit_s
