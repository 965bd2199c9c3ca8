"""Training throughput: the original project's recipe against this trainer, same model, same rows.

    python -m benchmarks.training --data naver_reviews_train.parquet

The original pads every text to 60 tokens and trains in fp32 on batches of 128, in a plain loop with
AdamW. This trainer trains the same rows for one pass by `train_with_early_stopping`: batches of 128
of similar length, bf16 or fp16 where the device is fast in it, one evaluation and checkpoint at the
end, which are not counted on either side. Both begin with the same weights, have the same dropout,
and compute on the same device with the same threads. The rounds alternate.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification

from benchmarks import report
from benchmarks.rounds import interleave, ratio, spread_of
from sentiment.device import choose_device
from sentiment.store import Store
from trainer.base import load_base
from trainer.corpus import read_corpus
from trainer.encoding import Encoded, encode
from trainer.fit import FitProgress, FitSettings, train_with_early_stopping
from trainer.shape import make_model
from trainer.vocabulary import train_vocabulary

ORIGINAL_TOKENS = 60
BATCH_ROWS = 128
VOCABULARY = 16_000
DROPOUT = 0.2
POSITIONS = 160
VALIDATION_ROWS = 256  # enough for an evaluation to be one; its time is not counted
LEARNING_RATE = 5e-6


@dataclass(frozen=True)
class Task:
    """What both sides train."""

    model: ElectraForSequenceClassification
    train: Encoded
    validation: Encoded
    device: str


def main() -> None:
    options = _parse()
    task = _prepare(options)
    sides: dict[str, Callable[[Task], float]] = {
        "original recipe": run_original,
        "this trainer": run_trainer,
    }
    report.say("warming up")
    few = _first_rows(task, 4 * BATCH_ROWS)
    for run in sides.values():
        run(few)
    timed = {name: partial(run, task) for name, run in sides.items()}
    rounds = interleave(timed, options.rounds, _say_round)
    print_rounds(rounds, task)
    report.write_json(options.json, rounds, rows=len(task.train.input_ids))


def run_original(task: Task) -> float:
    """Seconds of one pass as the original trained: every row 60 tokens, fp32, batches of 128."""
    device = choose_device(task.device)
    model = _fresh(task)
    model.to(device)  # type: ignore[arg-type]
    model.train()
    rows = len(task.train.input_ids)
    input_ids = torch.zeros((rows, ORIGINAL_TOKENS), dtype=torch.int64)
    mask = torch.zeros_like(input_ids)
    for place, ids in enumerate(task.train.input_ids):
        kept = ids[:ORIGINAL_TOKENS].astype(np.int64)
        input_ids[place, : len(kept)] = torch.from_numpy(kept)
        mask[place, : len(kept)] = 1
    labels = torch.from_numpy(task.train.label_ids)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    for first in range(0, rows, BATCH_ROWS):
        batch = order[first : first + BATCH_ROWS]
        optimizer.zero_grad()
        output = model(
            input_ids=input_ids[batch].to(device),
            attention_mask=mask[batch].to(device),
            labels=labels[batch].to(device),
        )
        output.loss.backward()
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


class _Clock:
    """Seconds until the last step of a fit, its evaluation and checkpoint left out."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds = 0.0

    def __call__(self, progress: FitProgress) -> None:
        if progress.step == progress.steps and not self.seconds:
            self.seconds = time.perf_counter() - self.start


def run_trainer(task: Task) -> float:
    """Seconds of one pass by this trainer, its preparations included."""
    model = _fresh(task)
    settings = FitSettings(learning_rate=LEARNING_RATE, epochs=1, batch_rows=BATCH_ROWS)
    with tempfile.TemporaryDirectory() as checkpoints:
        clock = _Clock()
        train_with_early_stopping(
            model,
            task.train,
            task.validation,
            settings,
            Path(checkpoints),
            device=task.device,
            on_progress=clock,
        )
    return clock.seconds


def _prepare(options: argparse.Namespace) -> Task:
    corpus = read_corpus(
        [options.data], text_column=options.text_column, label_column=options.label_column
    )
    chosen = np.random.default_rng(0).permutation(len(corpus.texts))
    train, validation = (
        chosen[: options.rows],
        chosen[options.rows : options.rows + VALIDATION_ROWS],
    )
    if len(validation) < VALIDATION_ROWS:
        sys.exit(f"{options.data} holds {len(corpus.texts):,} different texts: ask for fewer rows")
    model, tokenizer = _model(options, [corpus.texts[place] for place in train])
    positions = model.config.max_position_embeddings
    windows = [
        encode(
            tokenizer, [corpus.texts[place] for place in side], corpus.label_ids[side], positions
        )
        for side in (train, validation)
    ]
    return Task(model, windows[0], windows[1], options.device)


def _model(
    options: argparse.Namespace, texts: list[str]
) -> tuple[ElectraForSequenceClassification, Tokenizer]:
    if options.base is not None:
        base = load_base(str(options.base), Store(tempfile.gettempdir(), Path()), dropout=DROPOUT)
        return base.model, base.tokenizer
    tokenizer = train_vocabulary(texts, VOCABULARY)
    torch.manual_seed(0)
    model = make_model(
        tokenizer, POSITIONS, layers=options.layers, width=options.width, heads=options.heads
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = DROPOUT
    return model, tokenizer


def _fresh(task: Task) -> ElectraForSequenceClassification:
    return copy.deepcopy(task.model)


def _first_rows(task: Task, rows: int) -> Task:
    train = Encoded(
        task.train.input_ids[:rows], task.train.label_ids[:rows], task.train.owners[:rows]
    )
    return Task(task.model, train, task.validation, task.device)


def print_rounds(rounds: list[dict[str, float]], task: Task) -> None:
    """The table, both sides."""
    rows = len(task.train.input_ids)
    lengths = task.train.lengths()
    report.print_table(
        f"{rows:,} rows, {lengths.mean():.1f} tokens on average, at most {lengths.max()};"
        f" {task.model.num_parameters():,} parameters on {choose_device(task.device)},"
        f" {torch.get_num_threads()} threads; {len(rounds)} rounds, medians (least to most)",
        ("side", "seconds", "rows/s", "ratio"),
        [
            (
                name,
                spread_of(rounds, name).show(".1f"),
                f"{rows / spread_of(rounds, name).median:,.0f}",
                ratio(rounds, "original recipe", name).show(".2f"),
            )
            for name in rounds[0]
        ],
    )
    report.print_notes()


def _say_round(number: int, gave: dict[str, float]) -> None:
    shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in gave.items())
    report.say(f"round {number}: {shown}")


def _parse() -> argparse.Namespace:
    parser = report.make_parser(__doc__, device=True)
    parser.add_argument("--data", type=Path, required=True, help="labelled rows")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--rows", type=int, default=20_000, help="texts to train on")
    parser.add_argument("--base", type=Path, help="train this checkpoint; else random weights")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
