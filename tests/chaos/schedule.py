"""Random faults by a seed: rounds of them upon one another, each followed by rest and judgement."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from tests.chaos.alive import idle_children
from tests.chaos.fault import Fault
from tests.chaos.faults import FAULTS
from tests.chaos.invariants import ROUND_FAULTS
from tests.chaos.load import Load
from tests.chaos.settle import RECOVERY_S, come_to_rest
from tests.chaos.stage import Stage
from tests.chaos.watch import Watch

AT_ONCE = 5
GAP_S = 0.5  # on average, between one fault's begin and the next one's
START_S = 300.0  # a machine with much else to do
# A zombie's end counts nowhere, and one together with its worker, or by a lease, counts less.
LATE_ENDS = 2
LONG_FAULTS = 2  # of a round; they hold as long as all its other faults together


@dataclass
class Tally:
    """What became of one kind of fault."""

    struck: int = 0
    missed: int = 0
    seconds: float = 0.0


@dataclass
class Outcome:
    """What a run shows. Seconds, one of each round: see `Aftermath`.

    overtaken_s: of each stopped process, until another had done its work, with other faults upon
    it. asked: how often the invariants were asked while faults were under way.
    """

    seed: int
    faults: dict[str, Tally] = field(default_factory=dict)
    recoveries_s: list[float] = field(default_factory=list)
    hand_ins_s: list[float] = field(default_factory=list)
    rests_s: list[float] = field(default_factory=list)
    overtaken_s: list[float] = field(default_factory=list)
    asked: int = 0
    broken: list[str] = field(default_factory=list)
    documents: int = 0
    crashes_retried: int = 0
    seconds: float = 0.0

    @property
    def struck(self) -> int:
        """Faults that hit something."""
        return sum(tally.struck for tally in self.faults.values())

    def as_json(self) -> dict[str, Any]:
        """For the file of a run."""
        return asdict(self) | {"struck": self.struck}


def choose_round(random: Random, count: int, faults: Sequence[Fault]) -> list[Fault]:
    """The faults of one round, the long ones first, so that the others fall into them."""
    short = [fault for fault in faults if not fault.long_s]
    long = [fault for fault in faults if fault.long_s]
    n_long = min(LONG_FAULTS, len(long), count)
    chosen = random.sample(long, n_long)
    weights = [fault.weight for fault in short]
    return chosen + random.choices(short, weights, k=count - n_long) if short else chosen


class Schedule:
    """Runs rounds on a stage until so many faults have struck."""

    def __init__(
        self,
        stage: Stage,
        seed: int,
        faults: Sequence[Fault] = tuple(FAULTS.values()),
        say: Callable[[str], None] = print,
        recovery_s: float = RECOVERY_S,
    ) -> None:
        self._recovery_s = recovery_s
        self._stage = stage
        self._random = Random(seed)
        self._faults = faults
        self._say = say
        self._parts = {fault.part: threading.Lock() for fault in faults if fault.part}
        self._lock = threading.Lock()
        self.outcome = Outcome(seed)

    def run(self, count: int, *, round_faults: int = ROUND_FAULTS) -> Outcome:
        """Until so many faults have struck, or an invariant is broken."""
        began = time.monotonic()
        while self.outcome.struck < count and not self.outcome.broken:
            wanted = min(round_faults, count - self.outcome.struck)
            self._round(choose_round(self._random, wanted, self._faults))
            self.outcome.seconds = time.monotonic() - began
            self._tell()
        if not self.outcome.broken:
            self.outcome.broken += idle_children(self._stage, self._random, self._recovery_s)
        self.outcome.documents = len(self._stage.ledger.expected)
        return self.outcome

    def _round(self, faults: Sequence[Fault]) -> None:
        load = Load(self._stage, Random(self._random.random()))
        with load, Watch(self._stage) as watch:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                with suppress(AssertionError):  # the faults will find nothing, and say so
                    self._stage.wait_until("chunks are worked", self._stage.running, START_S)
                for fault in faults:
                    pool.submit(self._do, fault, Random(self._random.random()))
                    time.sleep(self._random.expovariate(1 / GAP_S))
            ended = time.monotonic()
            after = come_to_rest(*(self._stage, load, ended, self._recovery_s), late_ends=LATE_ENDS)
        outcome = self.outcome
        outcome.recoveries_s.append(after.recovery_s)
        outcome.hand_ins_s.append(after.hand_in_s)
        outcome.rests_s.append(after.rest_s)
        outcome.overtaken_s = [round(seconds, 1) for seconds in self._stage.overtaken_s]
        outcome.asked += watch.asked
        outcome.broken += watch.broken + after.broken

    def _do(self, fault: Fault, random: Random) -> None:
        began = time.monotonic()
        struck, broken = False, []
        try:
            with self._parts.get(fault.part, threading.Lock()):
                began = time.monotonic()
                struck = fault.do(self._stage, random)
        except Exception as error:  # noqa: BLE001 - what a fault runs into is a finding
            broken = [f"{fault.name}: {type(error).__name__}: {error}"]
        with self._lock:
            self.outcome.broken += broken
            tally = self.outcome.faults.setdefault(fault.name, Tally())
            tally.struck += struck
            tally.missed += not struck
            tally.seconds += time.monotonic() - began

    def _tell(self) -> None:
        outcome = self.outcome
        self._say(
            f"seed {outcome.seed}: {outcome.struck} faults in {outcome.seconds:.0f} s,"
            f" {len(self._stage.ledger.expected):,} documents,"
            f" recovered after {outcome.recoveries_s[-1]} s, all handed in after"
            f" {outcome.hand_ins_s[-1]} s, at rest {outcome.rests_s[-1]} s later"
            + "".join(f"\n  BROKEN {words}" for words in outcome.broken)
        )
