"""The lessons that make the starter, each from where the one before ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from core.errors import InputError
from sentiment.manifest import MANIFEST
from sentiment.store import Store
from trainer.base import Base, load_base
from trainer.fit import FitResult
from trainer.grades import Grades
from trainer.more_words import add_words
from trainer.starter_fits import (
    Lesson,
    average_weights,
    fit_rows,
    publish_raw,
    teach,
    teach_further,
)
from trainer.vocabulary import train_vocabulary


@dataclass(frozen=True)
class StarterSettings:
    """What the command line chooses.

    Raises:
        InputError: a lesson is to go on from one that there is not.
    """

    passes: float = 0.0
    """Of the pre-training; 0: none."""
    epochs: float = 1.5
    learning_rate: float = 5e-4
    dropout: float = 0.0
    teacher: float = 0.8
    """The teachers' share of what the fit is to say; 0: none."""
    teacher_epochs: float = 1.0
    """Of the teachers that read words; 0: spelling alone."""
    grades: str = "rating"
    """The column of the writers' own grades, which teach the later lessons; none: the labels do."""
    grade_rounds: int = 7
    """Of the teachers of grades."""
    second_epochs: float = 2.0
    """Of the second lesson; 0: there is none."""
    third_epochs: float = 1.1
    """Of the third; 0: there is none."""
    third_learning_rate: float = 3e-4
    fourth_vocabulary: int = 31_000
    """Tokens at most that the fourth lesson knows."""
    fourth_epochs: float = 2.0
    """Of the fourth; 0: there is none."""
    later_teacher: float = 0.9
    """The teachers' share in the later lessons."""
    seed: int = 0

    def __post_init__(self) -> None:
        lessons = {"second": self.second_epochs, "third": self.third_epochs}
        later = {"third": self.third_epochs, "fourth": self.fourth_epochs}
        for (before, epochs), (name, more) in zip(lessons.items(), later.items(), strict=True):
            if more and not epochs:
                raise InputError(
                    f"a {name} lesson goes on from a {before} one: give --{name}-epochs 0 too"
                )


def learn(lesson: Lesson, grades: Grades, settings: StarterSettings) -> tuple[FitResult, Base]:
    """All lessons. What one ends with is kept.

    The fourth begins with the mean of the second's and the third's weights, and with more words.
    """
    first, second, third = (lesson.work / f"lesson-{place}" for place in (1, 2, 3))
    begin = partial(_begin, lesson, settings)
    if not (first / MANIFEST).exists():
        targets = teach(lesson, settings.teacher, settings.teacher_epochs)
        result, base = fit_rows(lesson, None, targets, settings.epochs)
        if not settings.second_epochs:
            return result, base
        publish_raw(result.model, base.tokenizer, first)
    targets = teach_further(lesson, first, grades, settings.grade_rounds, settings.later_teacher)
    if not (second / MANIFEST).exists():
        result, base = fit_rows(begin(first), None, targets, settings.second_epochs)
        if not settings.third_epochs:
            return result, base
        publish_raw(result.model, base.tokenizer, second)
    if not (third / MANIFEST).exists():
        here = replace(begin(second), learning_rate=settings.third_learning_rate)
        result, base = fit_rows(here, None, targets, settings.third_epochs)
        average_weights(result.model, here.new_base().model)
        if not settings.fourth_epochs:
            return result, base
        publish_raw(result.model, base.tokenizer, third)
    more = _more_words(begin(third), settings)
    return fit_rows(begin(more), None, targets, settings.fourth_epochs)


def base_of(directory: Path, work: Path, settings: StarterSettings) -> Base:
    """The model in a directory, to be fitted."""
    store = Store(str(work / "no-versions"), work)
    return load_base(str(directory), store, dropout=settings.dropout, seed=settings.seed)


def _begin(lesson: Lesson, settings: StarterSettings, directory: Path) -> Lesson:
    return replace(lesson, new_base=partial(base_of, directory, lesson.work, settings))


def _more_words(lesson: Lesson, settings: StarterSettings) -> Path:
    """What a lesson begins with, with more words."""
    directory = lesson.work / "more-words"
    if not (directory / MANIFEST).exists():
        base = lesson.new_base()
        wanted = train_vocabulary(lesson.rows.texts("train"), settings.fourth_vocabulary)
        grown = add_words(base.model, base.tokenizer, wanted, seed=settings.seed)
        publish_raw(grown, wanted, directory)
    return directory
