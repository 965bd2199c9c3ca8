"""The whole route against the bare classifier: same texts, same version, as many processes.

    python -m benchmarks.end_to_end --data naver_reviews_train.parquet

The route is `nifos run` with servers of its own; its time is from the first claim to the last
commit, as the database's clock saw it, with the start-up beside it. The bare side is the same
`Classifier` in as many processes of one thread, taking the same chunks from a shared counter.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pandas as pd

from producer.chunks import CHUNK_DOCUMENTS
from sentiment.store import shipped_version

SPAN = (
    "select extract(epoch from max(finished_at) - min(started_at)) as work_s,"
    " sum((timings ->> 'read_s')::float) as read_s,"
    " sum((timings ->> 'predict_s')::float) as predict_s,"
    " sum(n_labelled) as n from scoring"
)


def main() -> None:
    options = _parse()
    table = pd.read_parquet(options.data, columns=["id", "written_at", "text"]).head(options.rows)
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.parquet"
        table.to_parquet(path)
        texts = table["text"].tolist()
        for number in range(options.rounds):
            bare_s = measure_bare(texts, options.processes)
            route = measure_route(path, Path(scratch) / f"home-{number}", options.processes)
            rounds.append({"bare_s": bare_s, **route})
            _say(f"round {number + 1}: bare {bare_s:.1f} s, route {route['work_s']:.1f} s")
    _print(rounds, len(table), options.processes)
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.machine(), "rounds": rounds}))


def measure_bare(texts: list[str], processes: int) -> float:
    """Seconds from when all processes are loaded until the last chunk is predicted."""
    context = multiprocessing.get_context("spawn")
    counter, barrier = context.Value("l", 0), context.Barrier(processes + 1)
    workers = [
        context.Process(target=_predict, args=(texts, counter, barrier)) for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.join()
    return seconds


def _predict(texts: list[str], counter: Synchronized[int], barrier: Barrier) -> None:
    from sentiment.classifier import Classifier  # noqa: PLC0415 - torch in the children only

    classifier = Classifier.load(shipped_version(), device="auto", threads=1)
    classifier.predict(texts[:64])
    barrier.wait()
    while True:
        with counter.get_lock():
            start = counter.value
            counter.value += CHUNK_DOCUMENTS
        if start >= len(texts):
            break
        classifier.predict(texts[start : start + CHUNK_DOCUMENTS])
    barrier.wait()


def measure_route(path: Path, home: Path, processes: int) -> dict[str, float]:
    """Seconds of the route's parts, in a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIFOS_")}
    environment = kept | {"NIFOS_HOME": str(home), "NIFOS_WORKER_PROCESSES": str(processes)}

    def nifos(*arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    outcome = nifos("run", str(path), "--source", "benchmark", "--json")
    (span,) = nifos("sql", "--format", "json", SPAN)
    if span["n"] != outcome["accepted"] or outcome["failed"]:
        sys.exit(f"the route labelled {span['n']} of {outcome['accepted']} documents")
    parts = {name: float(span[name]) for name in ("work_s", "read_s", "predict_s")}
    return parts | {"start_up_s": outcome["seconds"] - parts["work_s"]}


def _print(rounds: list[dict[str, float]], rows: int, processes: int) -> None:
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    ratios = [r["bare_s"] / r["work_s"] for r in rounds]
    sys.stdout.write(
        f"{rows:,} texts, {processes} processes of one thread, {len(rounds)} rounds, medians\n\n"
        f"| side | seconds | documents/s |\n|---|---|---|\n"
        f"| bare classifier | {middle['bare_s']:.1f} | {rows / middle['bare_s']:,.0f} |\n"
        f"| route, first claim to last commit | {middle['work_s']:.1f} "
        f"| {rows / middle['work_s']:,.0f} |\n"
        f"| route, start-up and load beside it | {middle['start_up_s']:.1f} | |\n\n"
        f"route / bare: {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f})\n"
        f"within the route, per process: read {middle['read_s'] / processes:.2f} s, "
        f"predict {middle['predict_s'] / processes:.2f} s\n"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: id, written_at, text")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, help="write the rounds there too")
    return parser.parse_args()


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    main()
