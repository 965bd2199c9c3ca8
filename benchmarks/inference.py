"""Our engines against the original's way and the usual pipeline, on the whole machine.

    python -m benchmarks.inference --data naver_reviews_train.parquet --shape base

Each side is loaded once and labels real reviews, all different, with the same spread of lengths;
slow sides get fewer of them. Ours are as many processes of one thread as there are cores, each with
chunks of its own; the pipeline is measured with torch's own threads and in as many processes too.
The peak of the matrix units is measured in every round, in as many processes of one thread.
It runs from an uninstalled checkout and needs no server.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine, report, reviews, shapes
from benchmarks.crew import Crew
from benchmarks.engines import resolve_device
from benchmarks.peak import make_peak
from benchmarks.rounds import interleave, ratio, spread_of
from benchmarks.sides import REFERENCE, Lengths, Side, list_sides

ROWS = {"base": 1_024, "starter": 16_384}
GPU_TIMES = 32  # more rows where a GPU labels them
WARM_UP_ROWS = 64
HEADERS = (
    "side",
    "processes",
    "documents/s",
    "ratio",
    "padding",
    "GFLOP/s on real tokens",
    "share of peak",
)
Measured = dict[str, float]


def main() -> None:
    options = _parse()
    device = resolve_device(options.device)
    rows = options.rows or ROWS[options.shape] * (1 if device == "cpu" else GPU_TIMES)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as crews:
        version = options.version or shapes.version_of(options.shape, Path(scratch))
        texts = reviews.distinct_texts(options.data, rows)
        lengths = shapes.token_lengths(version, texts)
        sides = list_sides(version, device, options.processes, Path(scratch) / "engines")
        runs: dict[str, Callable[[], Measured]] = {}
        for name, side in sides.items():
            report.say(f"loading {name}")
            crew = crews.enter_context(Crew(side.make, *side.arguments, processes=side.processes))
            places = reviews.even_sample(lengths, max(1, round(side.share * len(texts))))
            run = Run(crew, side, [texts[place] for place in places], lengths[places], version)
            run.warm_up()
            runs[name] = run
        processes, threads = (options.processes, 1) if device == "cpu" else (1, None)
        crew = crews.enter_context(Crew(make_peak, device, threads, processes=processes))
        for precision in sorted({side.precision for side in sides.values()}):
            runs[f"peak {precision}"] = partial(_peak, crew, precision, processes)
        measured = interleave(runs, options.rounds, _say_round)
    print_rounds(
        f"{version.name} shape on {device}: {len(texts):,} reviews, {lengths.mean():.1f} tokens"
        f" on average; {options.rounds} rounds, medians (least to most)",
        measured,
        sides,
    )
    report.write_json(options.json, measured, shape=version.name, device=device, rows=len(texts))


class Run:
    """One side with its crew and its texts; a call is one measurement."""

    def __init__(
        self, crew: Crew, side: Side, texts: list[str], lengths: Lengths, version: Path
    ) -> None:
        self._crew = crew
        self._side = side
        self._lengths = lengths
        ours = side.padded is None
        self._operations = shapes.operations(version, lengths, lean=ours)
        self._pieces = reviews.in_chunks(texts, side.processes)

    def warm_up(self) -> None:
        """Let libraries choose and prepare what they do once, on few texts."""
        self._crew.run([piece[:WARM_UP_ROWS] for piece in self._pieces])

    def __call__(self) -> Measured:
        """documents_per_s; padding, a share of what is computed; flops, on real tokens."""
        seconds, gave = self._crew.run(self._pieces)
        return {
            "documents_per_s": len(self._lengths) / seconds,
            "padding": 1 - float(self._lengths.sum()) / self._padded(gave),
            "flops": self._operations / seconds,
        }

    def _padded(self, gave: Sequence[Any]) -> float:
        if self._side.padded is None:
            return float(sum(padded for _tokens, padded in gave))
        rows = len(self._pieces[0])
        starts = range(0, len(self._lengths), rows)
        return sum(self._side.padded(self._lengths[start : start + rows]) for start in starts)


def _peak(crew: Crew, precision: str, processes: int) -> Measured:
    _seconds, gave = crew.run([precision] * processes)
    return {"flops": sum(gave)}


def print_rounds(title: str, rounds: Sequence[dict[str, Measured]], sides: dict[str, Side]) -> None:
    """The table, a row a side."""
    speeds = [{name: one[name]["documents_per_s"] for name in sides} for one in rounds]
    flops = [{name: of["flops"] for name, of in one.items()} for one in rounds]
    rows = [
        (
            name,
            f"{side.processes}",
            spread_of(speeds, name).show(",.1f" if speeds[0][name] < 100 else ",.0f"),
            ratio(speeds, name, REFERENCE).show(".2f"),
            f"{rounds[0][name]['padding']:.1%}",
            f"{spread_of(flops, name).median / 1e9:,.1f}",
            ratio(flops, name, f"peak {side.precision}").show(".1%"),
        )
        for name, side in sides.items()
    ]
    report.print_table(title, HEADERS, rows)
    peaks = [name for name in rounds[0] if name not in sides]
    shown = ", ".join(f"{name[5:]} {spread_of(flops, name).median / 1e9:,.0f}" for name in peaks)
    report.print_notes(f"Ratio: to {REFERENCE}. Matrix peak, GFLOP/s: {shown}.")


def _say_round(number: int, gave: dict[str, Measured]) -> None:
    speeds = {name: of.get("documents_per_s") for name, of in gave.items()}
    shown = ", ".join(f"{name} {speed:,.1f}" for name, speed in speeds.items() if speed)
    report.say(f"round {number}: {shown} documents/s")


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, device=True)
    parser.add_argument("--data", type=Path, required=True, help="Parquet with a column text")
    parser.add_argument("--shape", choices=shapes.SHAPES, default="base")
    parser.add_argument("--version", type=Path, help="another version's directory instead")
    parser.add_argument("--rows", type=int, help="that our engines label each round")
    parser.add_argument("--processes", type=int, default=machine.cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
