"""The whole route against the bare classifier: same texts, same version, as many processes.

    python -m benchmarks.end_to_end --data naver_reviews_train.parquet

The route is `nifos run` with servers of its own; its time is from the first claim until the last
labels and counts are written, as the database's clock and the workers' saw it, with the start-up
beside it. Only the last COMMIT itself is left out: nothing in a transaction can time it. The bare
side is the same `Classifier` in as many processes, taking the same chunks from a shared counter.
What the workers noted of each part of their chunks is below it: reading, preparing, tokenizing and
writing are the host's, and say what it could feed a faster device.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks import machine, report, reviews
from benchmarks.crew import Crew
from benchmarks.rounds import interleave, ratio, spread_of
from benchmarks.route import Route
from sentiment.store import shipped_version

PARTS = ("read_s", "prepare_s", "tokenize_s", "compute_s", "write_s")
GPU_PROCESSES = 2  # as the worker has them: one's database time beside the other's GPU time
_SUMS = ", ".join(f"coalesce(sum((timings ->> '{part}')::float), 0) as {part}" for part in PARTS)
# `finished_at` is the fence's time: the labels are written behind it, for `write_s`.
_LAST = "max(finished_at + make_interval(secs => coalesce((timings ->> 'write_s')::float, 0)))"
SPAN = (
    f"select extract(epoch from {_LAST} - min(started_at)) as work_s,"  # noqa: S608 - ours
    f" sum(n_labelled) as n, {_SUMS} from scoring"
)
Measured = dict[str, float]


def main() -> None:
    options = _parse()
    table = pd.read_parquet(options.data, columns=["id", "written_at", "text"]).head(options.rows)
    pieces = reviews.in_chunks(table["text"].tolist(), options.processes)
    bare = Crew(make_bare, options.device, processes=options.processes)
    with tempfile.TemporaryDirectory() as scratch, bare:
        path = Path(scratch) / "rows.parquet"
        table.to_parquet(path)
        homes = (Path(scratch) / f"home-{number}" for number in range(options.rounds))
        bare.run([piece[:64] for piece in pieces[: options.processes]])
        sides: dict[str, Callable[[], Measured]] = {
            "bare": lambda: {"bare_s": bare.run(pieces)[0]},
            "route": lambda: measure_route(path, next(homes), options.processes, options.device),
        }
        gathered = interleave(sides, options.rounds, _say_round)
    rounds = [gave["bare"] | gave["route"] for gave in gathered]
    print_rounds(rounds, len(table), options.processes)
    report.write_json(options.json, rounds, rows=len(table), processes=options.processes)


def make_bare(device: str) -> Callable[[list[str]], None]:
    """The shipped version as a worker loads it, to label one chunk at a time."""
    from sentiment.classifier import Classifier  # noqa: PLC0415 - torch in the children only

    classifier = Classifier.load(shipped_version(), device=device, threads=1)

    def label(texts: list[str]) -> None:
        classifier.predict(texts)

    return label


def measure_route(path: Path, home: Path, processes: int, device: str) -> Measured:
    """Seconds of the route's parts, in a home of its own."""
    nifos = Route(home, processes, NIFOS_DEVICE=device)
    outcome = nifos("run", str(path), "--source", "benchmark", "--json")
    (span,) = nifos("sql", "--format", "json", SPAN)
    if span["n"] != outcome["accepted"] or outcome["failed"]:
        sys.exit(f"the route labelled {span['n']} of {outcome['accepted']} documents")
    parts = {name: float(span[name]) for name in ("work_s", *PARTS)}
    return parts | {"start_up_s": outcome["seconds"] - parts["work_s"]}


def print_rounds(rounds: list[Measured], rows: int, processes: int) -> None:
    """The table: both sides, then the route's parts."""
    route = spread_of(rounds, "work_s").median
    shown = [
        (name, spread_of(rounds, column).show(".1f"), f"{rows / middle:,.0f}", part)
        for name, column, part in (
            ("bare classifier", "bare_s", ""),
            ("route, first claim to last commit", "work_s", "100.0%"),
        )
        if (middle := spread_of(rounds, column).median)
    ]
    start_up = spread_of(rounds, "start_up_s").show(".1f")
    shown.append(("route, start-up and load beside it", start_up, "", ""))
    for part in PARTS:
        each_s = spread_of(rounds, part).median / processes
        name = f"of it, a process: {part.removesuffix('_s')}"
        shown.append((name, f"{each_s:.2f}", "", f"{each_s / route:.1%}"))
    report.print_table(
        f"{rows:,} texts, {processes} processes of one thread, {len(rounds)} rounds,"
        " medians (least to most)",
        ("what", "seconds", "documents/s", "share of the route"),
        shown,
    )
    host_s = sum(spread_of(rounds, part).median for part in PARTS if part != "compute_s")
    report.print_notes(
        f"Route / bare: {ratio(rounds, 'bare_s', 'work_s').show('.3f')}.",
        f"All but compute: {1e6 * host_s / rows:.0f} µs a document, so that these processes"
        f" could feed {processes * rows / host_s:,.0f} documents/s." if host_s else "",
    )  # fmt: skip


def _say_round(number: int, gave: dict[str, Measured]) -> None:
    both = f"bare {gave['bare']['bare_s']:.1f} s, route {gave['route']['work_s']:.1f} s"
    report.say(f"round {number}: {both}")


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, device=True)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--processes", type=int, help="by default one a core, two on a GPU")
    options = parser.parse_args()
    if options.processes is None:
        options.processes = machine.cores() if _is_cpu(options.device) else GPU_PROCESSES
    return options


def _is_cpu(device: str) -> bool:
    if device == "cpu":
        return True
    from benchmarks.engines import resolve_device  # noqa: PLC0415 - torch where it is asked alone

    return resolve_device(device) == "cpu"


if __name__ == "__main__":
    main()
