"""What each engine and precision says of labelled rows, against torch in fp32.

    python -m benchmarks.numerics --data naver_reviews_test.parquet

The shipped version, the same rows, every engine that this machine runs. Nothing here is timed: a
round would say the same again, so there is one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import machine, report, reviews
from benchmarks.crew import Crew
from benchmarks.engines import engines_here, load, resolve_device
from sentiment.labels import LABEL_NAMES
from sentiment.store import shipped_version

Probabilities = NDArray[np.float32]
HEADERS = ("engine", "flips", "accuracy", "against fp32, points", "largest difference")


def main() -> None:
    options = _parse()
    device = resolve_device(options.device)
    table = pd.read_parquet(options.data, columns=["text", "label"]).iloc[: options.rows]
    truth = table["label"].map(LABEL_NAMES.index).to_numpy()
    processes = options.processes if device == "cpu" else 1
    pieces = reviews.in_chunks(table["text"].tolist(), processes)
    said: dict[str, Probabilities] = {}
    with tempfile.TemporaryDirectory() as cache:
        for engine, precision in engines_here(device):
            arguments = (options.version, device, engine, precision, Path(cache))
            with Crew(make_teller, *arguments, processes=processes) as crew:
                said[f"{engine} {precision}"] = np.concatenate(crew.run(pieces)[1])
            report.say(f"{engine} {precision} has told")
    found = [compare(name, each, said["torch fp32"], truth) for name, each in said.items()]
    title = f"{len(table):,} labelled rows, version {options.version.name}, on {device}"
    report.print_table(title, HEADERS, [_row(one) for one in found])
    report.print_notes("Largest difference: of a probability.")
    report.write_json(options.json, [found], device=device, rows=len(table))


def make_teller(
    version: Path, device: str, engine: str, precision: str, cache: Path
) -> Callable[[list[str]], Probabilities]:
    """A function from a chunk's texts to their probabilities, float32 [texts, 3]."""
    classifier = load(version, device, engine, precision, cache)

    def tell(texts: list[str]) -> Probabilities:
        return classifier.predict(texts).probabilities

    return tell


def compare(
    name: str, said: Probabilities, exact: Probabilities, truth: NDArray[np.int64]
) -> dict[str, float | str]:
    """Flips and accuracy, as shares, and the largest difference of a probability."""
    label_ids, exact_ids = said.argmax(axis=1), exact.argmax(axis=1)
    accuracy = float((label_ids == truth).mean())
    return {
        "name": name,
        "flips": float((label_ids != exact_ids).mean()),
        "accuracy": accuracy,
        "against_fp32": accuracy - float((exact_ids == truth).mean()),
        "largest": float(np.abs(said - exact).max()),
    }


def _row(found: dict[str, float | str]) -> tuple[str, ...]:
    return (
        f"{found['name']}",
        f"{found['flips']:.2%}",
        f"{found['accuracy']:.4f}",
        f"{100 * float(found['against_fp32']):+.2f}",
        f"{found['largest']:.4f}",
    )


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, rounds=None, device=True)
    parser.add_argument("--data", type=Path, required=True, help="Parquet: text, label")
    parser.add_argument("--version", type=Path, default=shipped_version(), help="its directory")
    parser.add_argument("--rows", type=int, help="the first so many; all by default")
    parser.add_argument("--processes", type=int, default=machine.cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
