"""After faults: wait until all is done, then judge. What a run says in the end."""

from __future__ import annotations

import time

from tests.chaos import invariants
from tests.chaos.stage import Stage

RECOVERY_S = 90.0


def settle(stage: Stage, since: float, allowed_s: float = RECOVERY_S) -> tuple[float, list[str]]:
    """Wait until nothing is open.

    Args:
        stage: no fault is under way on it.
        since: when the last fault ended, by the monotonic clock.
        allowed_s: from then on.

    Returns:
        How many seconds after `since` that was, and which invariants do not hold.
    """
    deadline = since + allowed_s
    while stage.open_work() != 0 or at_rest(stage):
        if time.monotonic() > deadline:
            rows = stage.sql("select * from scoring where state in ('pending', 'running') limit 5")
            words = f"not at rest {allowed_s:.0f} s after the last fault: {rows} {at_rest(stage)}"
            return allowed_s, [words, *judge(stage)]
        time.sleep(0.2)
    return time.monotonic() - since, judge(stage)


def at_rest(stage: Stage) -> list[str]:
    """What is not yet as it must be once the work is done."""
    with stage.connect() as connection:
        return invariants.broken(connection, invariants.AT_REST) + invariants.queue_left(
            stage.redis()
        )


def judge(stage: Stage) -> list[str]:
    """Every invariant that does not hold."""
    with stage.connect() as connection:
        return (
            invariants.broken(connection, invariants.NEVER)
            + invariants.wrong_labels(connection, stage.ledger)
            + invariants.lost(connection, stage.ledger)
            + invariants.miscounted(connection, stage.ledger)
        )
