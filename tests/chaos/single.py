"""One fault alone on a stage that works: what it did, and whether all is right afterwards."""

from __future__ import annotations

import time
from random import Random

from tests.chaos.fault import Fault
from tests.chaos.load import Load
from tests.chaos.settle import RECOVERY_S, settle
from tests.chaos.stage import Stage


def try_alone(
    stage: Stage, fault: Fault, random: Random, recovery_s: float = RECOVERY_S
) -> tuple[float, list[str]]:
    """Do one fault under load.

    Returns:
        Seconds from its end to rest, and the invariants that do not hold.
    """
    load = Load(stage, random, documents=480)
    with load:
        try:
            stage.wait_until("chunks are being worked", stage.running, 180)
            struck = fault.do(stage, random)
        except AssertionError as error:
            return 0.0, [f"{fault.name}: {error}"]
    since = time.monotonic()  # once all is handed in
    if not struck:
        return 0.0, [f"{fault.name}: it hit nothing"]
    seconds, broken = settle(stage, since, recovery_s)
    return seconds, load.broken + broken
