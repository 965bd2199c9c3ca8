"""After faults: how soon the work moves again, when all is done, and whether it is right."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from db.locks import FEED
from tests.chaos import invariants
from tests.chaos.alive import silent_workers
from tests.chaos.load import Load
from tests.chaos.logs import mark, said_since, tracebacks
from tests.chaos.stage import UNFORESEEN, Stage

RECOVERY_S = 90.0
LOOK_S = 0.2


@dataclass
class Aftermath:
    """What comes after faults. Seconds; the first two from the end of the last fault.

    recovery_s: until every scoring that was open then is closed. hand_in_s: until the last crawl is
    in. rest_s: from then on, until nothing is left to do.
    """

    recovery_s: float
    hand_in_s: float
    rest_s: float
    broken: list[str] = field(default_factory=list)


def come_to_rest(
    stage: Stage, load: Load, ended: float, allowed_s: float, *, late_ends: int = 0
) -> Aftermath:
    """Watch the work go on, end the load, wait for rest, judge.

    Args:
        stage: no fault is under way on it.
        load: it hands in no more, but may still be at one.
        ended: when the last fault ended, by the monotonic clock.
        allowed_s: for the recovery, and for the rest.
        late_ends: how many more processes a poison document may end than it would alone.
    """
    load.stop()
    recovery_s, broken = _close_what_was_open(stage, ended, allowed_s)
    load.join()
    broken += load.broken + stage.asides.join()
    handed_in = max(ended, load.over_at, stage.asides.over_at)
    left = _rest(stage, handed_in + allowed_s)
    rest_s = time.monotonic() - handed_in
    broken += [*left, *judge(stage, late_ends)]
    return Aftermath(*(round(recovery_s, 1), round(handed_in - ended, 1), round(rest_s, 1)), broken)


def _close_what_was_open(stage: Stage, ended: float, allowed_s: float) -> tuple[float, list[str]]:
    still = stage.open_scorings()
    while still:
        if time.monotonic() > ended + allowed_s:
            words = f"open at the last fault's end and still {allowed_s:.0f} s later"
            return allowed_s, [f"{words}: {stage.describe(sorted(still)[:5])}"]
        time.sleep(LOOK_S)
        still &= stage.open_scorings()
    return time.monotonic() - ended, []


def _rest(stage: Stage, deadline: float) -> list[str]:
    fed = False
    while True:
        fed = fed or may_feed(stage)
        left = [f"{stage.open_work()} scorings are open"] if stage.open_work() else at_rest(stage)
        left += [] if fed else ["nobody gets the right to feed"]
        left += [] if left else silent_workers(stage)
        if not left:
            return []
        if time.monotonic() > deadline:
            rows = stage.sql("select * from scoring where state in ('pending', 'running') limit 5")
            return [f"not at rest in time: {left} {rows}"]
        time.sleep(LOOK_S)


def may_feed(stage: Stage) -> bool:
    """Whether the right to feed was free at this moment: who lives has it for moments only."""
    with stage.connect() as connection:
        row = connection.execute("select pg_try_advisory_lock(%s, 0)", (FEED,)).fetchone()
        return bool(row and row[0])  # the right goes back with the connection


def at_rest(stage: Stage) -> list[str]:
    """What is not yet as it must be once the work is done."""
    with stage.connect() as connection:
        return invariants.broken(connection, invariants.AT_REST) + invariants.queue_left(
            stage.redis()
        )


def judge(stage: Stage, late_ends: int = 0) -> list[str]:
    """Every invariant that does not hold, and what processes have said and how they ended."""
    with stage.connect() as connection:
        return (
            invariants.broken(connection, invariants.NEVER)
            + invariants.wrong_labels(connection, stage.ledger)
            + invariants.lost(connection, stage.ledger)
            + invariants.miscounted(connection, stage.ledger)
            + invariants.ended_too_often(stage.points, late_ends)
            + _said(stage)
        )


def _said(stage: Stage) -> list[str]:
    words = said_since(stage.logs, stage.read_until)
    stage.read_until = mark(stage.logs)
    ends = [f"{s.name} {end}" for s in stage.all_services for end in s.strange_ends]
    found = [f"a traceback: {each}" for each in tracebacks(words)][:5]
    found += [f"said: {line}" for line in words.split("\n") if UNFORESEEN in line][:5]
    return found + ends
