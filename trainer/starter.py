"""Make the starter version from labelled reviews: one command, from random weights.

make starter DATA=naver_reviews_train.parquet

Broken off, the same command goes on. docs/decisions/0002-starter.md says how its settings were
found.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from core.errors import ColumnsError, InputError, NifosError
from sentiment import metrics
from trainer.base import Base
from trainer.base_directory import save_base
from trainer.calibration import apply_temperature, fit_temperature
from trainer.candidate import write_version
from trainer.card import write_card
from trainer.class_bias import add_class_bias, fit_class_bias
from trainer.corpus import read_corpus, read_rows
from trainer.encoding import token_lengths
from trainer.fit import FitProgress, FitResult
from trainer.grades import Grades, labels_as_grades, read_grades
from trainer.new_model import NewModel, new_discriminator
from trainer.pretrain import PretrainProgress, PretrainSettings, pretrain
from trainer.report import CalibrationFacts, write_report
from trainer.retrain_data import RetrainData
from trainer.split import dataset_split
from trainer.starter_facts import page_facts, training_facts
from trainer.starter_fits import Lesson, publish_raw, score
from trainer.starter_lessons import StarterSettings, base_of, learn
from trainer.workdir import hold_workdir, whole_file

VALIDATION_SHARE = 0.02  # 13,000 reviews: macro-F1 to about half a point
MODEL = NewModel(layers=3, width=256, embedding=256, vocabulary=16_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code."""
    options = vars(_parse(arguments))
    data, test, output = (options.pop(name) for name in ("data", "test", "output"))
    test = test or data.with_name(data.name.replace("train", "test"))
    try:
        make_starter(data, test, output, StarterSettings(**options))
    except NifosError as error:
        _say(f"trainer.starter: {error}")
        return error.exit_code
    return 0


def make_starter(data: Path, test: Path, output: Path, settings: StarterSettings) -> None:
    """Pre-train, fit, calibrate, evaluate and write the version.

    Raises:
        InputError: a file cannot be read, or the output is there already.
    """
    if output.exists():
        raise InputError(f"{output} exists already: versions never change")
    for path in (data, test):
        if not path.exists():
            raise InputError(f"{path}: no such file")
    if test == data:
        raise InputError(
            f"{data}: it cannot be trained on and tested by; name other rows by --test"
        )
    corpus = read_corpus([data], text_column="text", label_column="label")
    held_out = read_rows([test], text_column="text", label_column="label")
    rows = RetrainData(corpus, dataset_split(corpus, validation=VALIDATION_SHARE, test=0.0), 0)
    grades = _grades(rows, data, settings.grades)
    _say(f"{len(corpus.texts):,} texts {corpus.class_counts()}, {corpus.ties:,} ties left out")
    work = output.absolute().parent / f".{output.name}.work"  # found again by the same command
    how = asdict(MODEL) | asdict(settings)
    with hold_workdir(work, {"data": _sha256(data), "settings": how}):
        begun = _begun(work)
        _make_base(rows, work, settings)
        new_base = partial(base_of, work / "base", work, settings)
        lesson = Lesson(rows, new_base, work, settings.learning_rate, settings.seed, _tell_fit)
        result, base = learn(lesson, grades, settings)
        raw = work / "raw"
        how["bias"] = _adjust(result, base, raw, rows)
        calibration = _calibrate(raw, rows)
        said = apply_temperature(score(raw, held_out[0]), calibration.temperature)
        measured = metrics.summarize(held_out[1], said)
        _say(f"{measured}")
        training = training_facts(rows, result, calibration, how, time.time() - begun)
        page = work / "report.html"
        lengths = token_lengths(base.tokenizer, rows.texts("train"))
        write_report(page_facts(output.name, rows, lengths, result, calibration, how), page)
        write_version(
            raw,
            output,
            page=page,
            card=write_card(measured, training),
            temperature=calibration.temperature,
            metrics=measured,
            training=training,
        )
    shutil.rmtree(work)


def _adjust(result: FitResult, base: Base, raw: Path, rows: RetrainData) -> list[float]:
    """Write `raw`, its head with a bias a class, which is returned, found on validation."""
    publish_raw(result.model, base.tokenizer, raw, compact_words=True)
    bias = fit_class_bias(rows.label_ids("validation"), score(raw, rows.texts("validation")))
    add_class_bias(result.model, bias)
    publish_raw(result.model, base.tokenizer, raw, compact_words=True)
    return [round(float(value), 1) + 0.0 for value in bias]


def _grades(rows: RetrainData, data: Path, column: str) -> Grades:
    texts, label_ids = rows.texts("train"), rows.label_ids("train")
    try:
        return read_grades(data, "text", column, texts, label_ids)
    except ColumnsError:
        _say(f"{data}: no column {column!r} of grades, the labels teach")
        return labels_as_grades(label_ids)


def _begun(work: Path) -> float:
    """When this was typed first, in seconds since 1970: a run that goes on has not begun anew."""
    path = work / "begun"
    if not path.exists():
        with whole_file(path) as aside:
            aside.write_text(str(time.time()))
    return float(path.read_text())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_base(rows: RetrainData, work: Path, settings: StarterSettings) -> None:
    directory = work / "base"
    if not directory.exists():
        model, tokenizer, windows = new_discriminator(
            rows.texts("train"), MODEL, seed=settings.seed, kept=work / "vocabulary.json"
        )
        _say(f"{model.num_parameters():,} parameters, {len(windows):,} windows")
        if settings.passes:
            how = PretrainSettings(passes=settings.passes, seed=settings.seed)
            pretrain(model, tokenizer, windows, how, work, on_progress=_tell_pretraining)
        save_base(model, tokenizer, directory, {})


def _calibrate(version: Path, rows: RetrainData) -> CalibrationFacts:
    truth = rows.label_ids("validation")
    before = score(version, rows.texts("validation"))
    temperature = fit_temperature(truth, before)
    return CalibrationFacts(temperature, truth, before, apply_temperature(before, temperature))


def _tell_pretraining(now: PretrainProgress) -> None:
    _say(
        f"pre-training {now.step:,} of {now.steps:,}: generator loss {now.generator_loss:.3f},"
        f" discriminator loss {now.discriminator_loss:.4f}, found {now.found:.3f}"
    )


def _tell_fit(now: FitProgress) -> None:
    words = ", ".join(f"{name} {value:.4g}" for name, value in now.metrics.items())
    _say(f"fitting {now.step:,} of {now.steps:,}: {words}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.starter", description="Make the starter version."
    )
    parser.add_argument("--data", type=Path, required=True, help="columns text and label")
    parser.add_argument(
        "--test", type=Path, help="rows never trained on; else beside the data, test for train"
    )
    parser.add_argument("--output", type=Path, required=True, help="the directory to make")
    for name, value in asdict(StarterSettings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return parser.parse_args(arguments)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
