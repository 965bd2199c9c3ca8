"""One fault alone on a stage that works: what it did, and whether all is right afterwards."""

from __future__ import annotations

import time
from random import Random

from tests.chaos.fault import Fault
from tests.chaos.load import Load
from tests.chaos.settle import RECOVERY_S, Aftermath, come_to_rest
from tests.chaos.stage import Stage
from tests.chaos.watch import Watch

TIMES = 3  # a fault may find nothing to hit, by chance


def try_alone(
    stage: Stage, fault: Fault, random: Random, recovery_s: float = RECOVERY_S
) -> Aftermath:
    """Do one fault under load.

    A recovery that the fault itself waits for (a stopped process has to be overtaken) counts too.
    """
    overtaken = len(stage.overtaken_s)
    load, watch = Load(stage, random, documents=480), Watch(stage)
    with load, watch:
        try:
            stage.wait_until("chunks are being worked", stage.running, 180)
            struck = any(fault.do(stage, random) for _ in range(TIMES))
        except AssertionError as error:
            return Aftermath(0.0, 0.0, 0.0, [f"{fault.name}: {error}"])
        ended = time.monotonic()
        after = come_to_rest(stage, load, ended, recovery_s)
    if not struck:
        after.broken.append(f"{fault.name}: it hit nothing")
    waits_s = [round(seconds, 1) for seconds in stage.overtaken_s[overtaken:]]
    after.recovery_s = max([after.recovery_s, *waits_s])
    if after.recovery_s > recovery_s:
        after.broken.append(f"{fault.name}: overtaken after {after.recovery_s:.0f} s only")
    after.broken += watch.broken
    return after
