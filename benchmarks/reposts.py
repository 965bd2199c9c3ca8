"""What it saves to score the same text once: a crawl of which 30 % are reposts.

    python -m benchmarks.reposts --data naver_reviews_train.parquet

A repost repeats one of the thousand documents before it, so that some of the repeated texts stand
in the chunk before and are scored again, as in a real crawl. The other side is what the crawl would
cost without the rule: each repost is another text of as many tokens.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, report, reviews, shapes
from benchmarks.crew import Crew
from benchmarks.engines import engines_here, make_classifier, resolve_device
from benchmarks.rounds import interleave, ratio, spread_of
from sentiment.store import shipped_version

NEAR = 1_000  # documents before a repost that it may repeat
ONCE, EACH = "each text once in a chunk", "every document"


def main() -> None:
    options = _parse()
    device = resolve_device(options.device)
    engine, precision = [one for one in engines_here(device) if one[0] == "torch"][-1]
    processes = options.processes if device == "cpu" else 1
    texts = reviews.distinct_texts(options.data, 2 * options.rows)
    crawl, without = make_crawls(
        texts, shapes.token_lengths(options.version, texts), options.rows, options.share
    )
    arguments = (options.version, device, engine, precision)
    with (
        tempfile.TemporaryDirectory() as cache,
        Crew(make_classifier, *arguments, Path(cache), processes=processes) as crew,
    ):
        crew.run([crawl[:64]] * processes)
        chunks = reviews.in_chunks(crawl, processes)
        sides = {
            ONCE: partial(_seconds, crew, chunks),
            EACH: partial(_seconds, crew, reviews.in_chunks(without, processes)),
        }
        rounds = interleave(sides, options.rounds, _say_round)
    kept = sum(len(set(chunk)) for chunk in chunks) / len(crawl)
    report.print_table(
        f"{len(crawl):,} documents, {options.share:.0%} of them reposts, {engine} in {precision},"
        f" {processes} processes, {options.rounds} rounds, medians (least to most)",
        ("scored", "share of the documents", "seconds", "documents/s", "ratio"),
        [
            (
                name,
                f"{share:.1%}",
                spread_of(rounds, name).show(".1f"),
                f"{len(crawl) / spread_of(rounds, name).median:,.0f}",
                ratio(rounds, EACH, name).show(".2f"),
            )
            for name, share in ((EACH, 1.0), (ONCE, kept))
        ],
    )
    report.print_notes()
    report.write_json(options.json, rounds, rows=len(crawl), share=options.share, kept=kept)


def _seconds(crew: Crew, chunks: list[list[str]]) -> float:
    return crew.run(chunks)[0]


def _say_round(number: int, gave: dict[str, float]) -> None:
    report.say(f"round {number}: {gave[EACH]:.1f} s, each text once {gave[ONCE]:.1f} s")


def make_crawls(
    texts: Sequence[str], lengths: NDArray[np.int64], rows: int, share: float
) -> tuple[list[str], list[str]]:
    """A crawl with reposts, and one of the same lengths without.

    Args:
        texts: all different; the later ones take the place of reposts in the second crawl.
        lengths: int64 [texts], their tokens.
        rows: of each crawl; there should be twice as many texts.
        share: of the rows, that repeat another.
    """
    chance = random.Random(0)  # noqa: S311 - a sample, no secret
    spare: dict[int, list[int]] = defaultdict(list)
    for place in range(rows, len(texts)):
        spare[int(lengths[place])].append(place)
    crawl: list[int] = []
    without: list[int] = []
    for place in range(min(rows, len(texts))):
        repeated = crawl[-chance.randint(1, min(NEAR, len(crawl)))] if crawl else place
        others = spare[int(lengths[repeated])]
        if chance.random() < share and others:
            crawl.append(repeated)
            without.append(others.pop())
        else:
            crawl.append(place)
            without.append(place)
    return [texts[place] for place in crawl], [texts[place] for place in without]


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, device=True)
    parser.add_argument("--data", type=Path, required=True, help="Parquet with a column text")
    parser.add_argument("--version", type=Path, default=shipped_version(), help="its directory")
    parser.add_argument("--rows", type=int, default=40_960)
    parser.add_argument("--share", type=float, default=0.3, help="of the documents: reposts")
    parser.add_argument("--processes", type=int, default=machine.cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
