"""`make chaos`: random faults by seeds, with a table, a JSON file and an exit code in the end.

python -m tests.chaos.run --seeds 1 2 3 --faults 1000 --output chaos.json
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from tests.chaos.alive import idle_children
from tests.chaos.faults import FAULTS
from tests.chaos.schedule import Outcome, Schedule, Tally
from tests.chaos.settle import RECOVERY_S
from tests.chaos.single import try_alone
from tests.chaos.stage import Stage

console = Console(width=100)


def main() -> int:
    """Run; 1 where an invariant was broken."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores the first
        signal.signal(number, signal.default_int_handler)
    options = _options()
    home = Path(options.home or tempfile.mkdtemp(prefix="nifos-chaos-"))
    seeds = options.seeds[:1] if options.single is not None else options.seeds
    outcomes = [_run(home / f"seed-{seed}", seed, options) for seed in seeds]
    console.print(_table(outcomes))
    found = [outcome.as_json() for outcome in outcomes]
    (home / "outcome.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
    if options.output:
        options.output.write_text((home / "outcome.json").read_text())
    broken = [words for outcome in outcomes for words in outcome.broken]
    for words in broken:
        console.print(f"BROKEN {words}", markup=False, soft_wrap=True)
    console.print(f"logs, ledgers and data: {home}", markup=False)
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--faults", type=int, default=1_000, help="of all seeds together")
    parser.add_argument("--single", nargs="*", help="each fault alone: all, or those with a word")
    parser.add_argument("--recovery", type=float, default=RECOVERY_S, help="seconds allowed")
    parser.add_argument("--home", help="where data and logs go; a temporary directory")
    parser.add_argument("--output", type=Path, help="a JSON file of all outcomes")
    return parser.parse_args()


def _run(home: Path, seed: int, options: argparse.Namespace) -> Outcome:
    console.print(f"seed {seed}: {home}", markup=False)
    with Stage(home) as stage:
        if options.single is not None:
            return _singles(stage, seed, options)
        share = -(-options.faults // len(options.seeds))
        schedule = Schedule(
            *(stage, seed),
            recovery_s=options.recovery,
            say=lambda words: console.print(words, markup=False),
        )
        return schedule.run(share)


def _singles(stage: Stage, seed: int, options: argparse.Namespace) -> Outcome:
    outcome, random, words = Outcome(seed), Random(seed), options.single
    for name, fault in FAULTS.items():
        if words and not any(word in name for word in words):
            continue
        after = try_alone(stage, fault, random, options.recovery)
        missed = any("it hit nothing" in words for words in after.broken)
        outcome.faults[name] = Tally(not missed, missed, after.recovery_s)
        outcome.recoveries_s.append(after.recovery_s)
        outcome.hand_ins_s.append(after.hand_in_s)
        outcome.rests_s.append(after.rest_s)
        outcome.broken += after.broken
        outcome.documents = len(stage.ledger.expected)
        line = f"{name}: recovered after {after.recovery_s} s, all handed in after"
        line += f" {after.hand_in_s} s, at rest {after.rest_s} s later"
        console.print(line, *after.broken, markup=False)
    outcome.broken += idle_children(stage, random, options.recovery)
    return outcome


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("fault", "struck", "found nothing to hit", title="faults")
    total: dict[str, Tally] = {}
    for outcome in outcomes:
        for name, tally in outcome.faults.items():
            before = total.get(name, Tally())
            total[name] = replace(
                before, struck=before.struck + tally.struck, missed=before.missed + tally.missed
            )
    for name, tally in sorted(total.items()):
        table.add_row(name, str(tally.struck), str(tally.missed))
    slowest = max((s for outcome in outcomes for s in outcome.recoveries_s), default=0.0)
    rest = max((s for outcome in outcomes for s in outcome.rests_s), default=0.0)
    documents = sum(outcome.documents for outcome in outcomes)
    table.caption = (
        f"{sum(outcome.struck for outcome in outcomes):,} faults, {documents:,} documents,"
        f" slowest recovery {slowest:.1f} s, slowest rest {rest:.1f} s,"
        f" invariants asked in the middle {sum(outcome.asked for outcome in outcomes)} times,"
        f" {sum(len(outcome.broken) for outcome in outcomes)} findings"
    )
    return table


if __name__ == "__main__":
    sys.exit(main())
