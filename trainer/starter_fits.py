"""The fits that make the starter: two that teach, on half the texts each, and the lessons."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn
from transformers import ElectraForSequenceClassification

from sentiment.metrics import Probabilities
from trainer.base import Base
from trainer.class_weights import resolve_class_weights
from trainer.compare import Scoring, score_version
from trainer.encoding import encode
from trainer.fit import FitResult, FitSettings, OnProgress, train_with_early_stopping
from trainer.grade_teacher import READINGS, grade_answers
from trainer.grades import Grades
from trainer.new_model import PADDING_LENGTH
from trainer.publish import publish
from trainer.retrain_data import RetrainData
from trainer.teacher import PARTS, mix_targets, spelling_answers, split_parts
from trainer.workdir import whole_file

BATCH_ROWS = 64  # steps count more than exact ones
WARMUP_SHARE = 0.03
EVALUATIONS = 4  # an epoch
BALANCE = 0.4  # between the classes as they are, 0, and as if they were equally frequent, 1


@dataclass(frozen=True)
class Lesson:
    """What every fit of the starter begins with."""

    rows: RetrainData
    new_base: Callable[[], Base]
    """The same weights each time."""
    work: Path
    learning_rate: float
    seed: int
    on_progress: OnProgress


def fit_rows(
    lesson: Lesson,
    chosen: NDArray[np.bool_] | None,
    targets: NDArray[np.float32] | None,
    epochs: float,
) -> tuple[FitResult, Base]:
    """Fit a new model; a fit that was broken off goes on.

    Args:
        lesson: see there.
        chosen: bool [training texts], which of them; None: all.
        targets: float32 [texts, labels] of those, in the labels' place; None: the labels.
        epochs: over them.
    """
    base, rows = lesson.new_base(), lesson.rows
    texts, label_ids = rows.texts("train"), rows.label_ids("train")
    if chosen is not None:
        texts = [texts[place] for place in np.flatnonzero(chosen)]
        label_ids = label_ids[chosen]
    train = encode(base.tokenizer, texts, label_ids, PADDING_LENGTH)
    if targets is not None:
        train = train.with_targets(targets)
    held_out = rows.texts("validation"), rows.label_ids("validation")
    validation = encode(base.tokenizer, *held_out, PADDING_LENGTH)
    balanced = resolve_class_weights("balanced", label_ids) or ()
    settings = FitSettings(
        learning_rate=lesson.learning_rate,
        epochs=epochs,
        batch_rows=BATCH_ROWS,
        schedule="linear",
        warmup_steps=round(WARMUP_SHARE * epochs * len(train.input_ids) / BATCH_ROWS),
        evaluations_per_epoch=EVALUATIONS,
        # A falling rate gains most at its end: nothing is cut short. A bias moves macro-F1
        # afterwards: which weights are better, the loss tells with less chance.
        patience=math.ceil(EVALUATIONS * epochs),
        best_by="loss",
        class_weights=tuple(round(weight**BALANCE, 6) for weight in balanced),
        seed=lesson.seed,
    )
    result = train_with_early_stopping(
        base.model, train, validation, settings, lesson.work, on_progress=lesson.on_progress
    )
    return result, base


def teach(lesson: Lesson, share: float, epochs: float) -> NDArray[np.float32] | None:
    """The targets of all training texts: float32 [texts, labels]. What is done is kept.

    None where the teachers have no share.

    Args:
        lesson: see there.
        share: of the teachers, beside the labels.
        epochs: of the teachers that read words; 0: spelling alone.
    """
    if not share:
        return None
    texts, label_ids = lesson.rows.texts("train"), lesson.rows.label_ids("train")
    parts = split_parts(len(texts), lesson.seed)
    answers = _kept(lesson.work / "spelling.npy", lambda: spelling_answers(texts, label_ids, parts))
    if epochs:
        for part in range(PARTS):
            asked = parts == part
            said = _kept(
                lesson.work / f"words-{part}.npy",
                partial(_word_answers, lesson, asked, epochs),
            )
            answers[asked] = (answers[asked] + said) / 2
    return mix_targets(label_ids, answers, share)


def teach_further(
    lesson: Lesson, first: Path, grades: Grades, rounds: int, share: float
) -> NDArray[np.float32]:
    """The targets of a later lesson: float32 [texts, labels].

    By teachers of grades and, third of them, by what the first lesson ended with: that has learnt
    from these texts, but from teachers' answers, and so hardly knows them by heart.

    Args:
        lesson: see there.
        first: the version that the first lesson ended with.
        grades: of the training texts.
        rounds: of the teachers of grades.
        share: of the teachers, beside the labels.
    """
    texts, work = lesson.rows.texts("train"), lesson.work
    answers = [
        _kept(
            work / f"grades-{place}.npy",
            partial(grade_answers, texts, grades, reading, rounds, lesson.seed),
        )
        for place, reading in enumerate(READINGS)
    ]
    answers.append(_kept(work / "first.npy", lambda: score(first, texts)))
    return mix_targets(lesson.rows.label_ids("train"), np.mean(answers, axis=0), share)


@torch.no_grad()
def average_weights(model: nn.Module, other: nn.Module) -> None:
    """Give a model the mean of its own weights and another's of the same shape.

    Where one began to learn when the other ended, the mean says a little better than either
    (Wortsman et al. 2022, "Model soups").
    """
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        ours.lerp_(theirs, 0.5)


def publish_raw(
    model: ElectraForSequenceClassification,
    tokenizer: Tokenizer,
    target: Path,
    *,
    compact_words: bool = False,
) -> None:
    """Write a model as a version without figures, in place of one that is there."""
    shutil.rmtree(target, ignore_errors=True)
    publish(
        model,
        tokenizer,
        target,
        padding_length=PADDING_LENGTH,
        metrics={},
        training={},
        compact_words=compact_words,
    )


def score(version: Path, texts: list[str]) -> Probabilities:
    """Probabilities by the very classifier that serves: float64 [texts, 3]."""
    how = Scoring("auto", None, torch.get_num_threads())
    return score_version(version, texts, how, lambda _done: None)


def _word_answers(lesson: Lesson, asked: NDArray[np.bool_], epochs: float) -> Probabilities:
    result, base = fit_rows(lesson, ~asked, None, epochs)
    version = lesson.work / "teacher"
    publish_raw(result.model, base.tokenizer, version)
    texts = lesson.rows.texts("train")
    return score(version, [texts[place] for place in np.flatnonzero(asked)])


def _kept(path: Path, make: Callable[[], Probabilities]) -> Probabilities:
    if not path.exists():
        with whole_file(path) as aside, aside.open("wb") as file:
            np.save(file, make())
    loaded: Probabilities = np.load(path)
    return loaded
