"""Make the starter version from labelled reviews: one command, from random weights.

python -m trainer.starter --data TRAIN.parquet --test TEST.parquet --output models/my-starter
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import ElectraConfig, ElectraForSequenceClassification, set_seed

from core.errors import InputError, NifosError
from sentiment import metrics
from sentiment.classifier import Classifier
from sentiment.labels import LABEL_NAMES, LABELS
from trainer.card import write_card
from trainer.corpus import Corpus, read_corpus, read_rows
from trainer.encoding import encode, token_lengths
from trainer.fit import FitResult, FitSettings, train_with_early_stopping
from trainer.padding import choose_padding_length
from trainer.publish import publish
from trainer.split import Split, dataset_split
from trainer.vocabulary import train_vocabulary
from trainer.warm_start import fit_word_embeddings

VOCABULARY = 16_000
LAYERS = 2
WIDTH = 256
HEADS = 4
MIN_PADDING_LENGTH = 128  # the longest review has fewer tokens: none is windowed in training
VALIDATION_SHARE = 0.02  # 13,000 reviews: macro-F1 to about half a point


@dataclass(frozen=True)
class StarterSettings:
    """What the command line chooses."""

    epochs: float = 1.0
    learning_rate: float = 6e-4
    seed: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code."""
    options = _parse(arguments)
    try:
        make_starter(
            options.data,
            options.test,
            options.output,
            StarterSettings(options.epochs, options.learning_rate, options.seed),
        )
    except NifosError as error:
        _say(f"trainer.starter: {error}")
        return error.exit_code
    return 0


def make_starter(data: Path, test: Path, output: Path, settings: StarterSettings) -> None:
    """Train, evaluate and publish.

    Raises:
        InputError: a file cannot be read, or the output is there already.
    """
    if output.exists():
        raise InputError(f"{output} exists already: versions never change")
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    set_seed(settings.seed)
    corpus = read_corpus([data], text_column="text", label_column="label")
    held_out = read_rows([test], text_column="text", label_column="label")
    split = dataset_split(corpus, validation=VALIDATION_SHARE, test=0.0)
    _say(f"{len(corpus.texts):,} texts {corpus.class_counts()}, {corpus.ties:,} ties left out")
    tokenizer = train_vocabulary(_texts(corpus, split.train), VOCABULARY)
    lengths = token_lengths(tokenizer, _texts(corpus, split.train))
    padding_length = max(MIN_PADDING_LENGTH, choose_padding_length(lengths, 1.0))
    _say(f"vocabulary {tokenizer.get_vocab_size():,}, padding length {padding_length}")
    with tempfile.TemporaryDirectory() as checkpoints:
        result = _fit(corpus, split, tokenizer, padding_length, settings, Path(checkpoints))
    training: dict[str, Any] = {
        "rows": len(split.train),
        "validation_rows": len(split.validation),
        "classes": corpus.class_counts(),
        "settings": asdict(settings),
        "best_step": result.best_step,
        "stopped_step": result.stopped_step,
        "validation_macro_f1": round(result.best_macro_f1, 4),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    measured = _evaluate(result, tokenizer, padding_length, *held_out)
    _say(f"{measured}")
    publish(
        result.model,
        tokenizer,
        output,
        padding_length=padding_length,
        metrics=measured,
        training=training,
        card=write_card(measured, training),
    )


def _fit(
    corpus: Corpus,
    split: Split,
    tokenizer: Tokenizer,
    padding_length: int,
    settings: StarterSettings,
    checkpoints: Path,
) -> FitResult:
    train, validation = (
        encode(tokenizer, _texts(corpus, side), corpus.label_ids[side], padding_length)
        for side in (split.train, split.validation)
    )
    model = make_model(tokenizer, padding_length, layers=LAYERS, width=WIDTH, heads=HEADS)
    words = fit_word_embeddings(
        train, vocabulary=tokenizer.get_vocab_size(), width=WIDTH, seed=settings.seed
    )
    with torch.no_grad():
        model.electra.embeddings.word_embeddings.weight.copy_(words)
    _say(f"fitting {model.num_parameters():,} parameters on {len(train.input_ids):,} windows")
    fit = FitSettings(
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        schedule="linear",
        warmup_steps=300,
        evaluations_per_epoch=5,
        seed=settings.seed,
    )
    return train_with_early_stopping(model, train, validation, fit, checkpoints)


def make_model(
    tokenizer: Tokenizer, padding_length: int, *, layers: int, width: int, heads: int
) -> ElectraForSequenceClassification:
    """An Electra with random weights and our label set."""
    config = ElectraConfig(
        vocab_size=tokenizer.get_vocab_size(),
        embedding_size=width,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=padding_length,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        classifier_dropout=0.2,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
        id2label=dict(enumerate(LABEL_NAMES)),
        label2id={label.name: label.id for label in LABELS},
    )
    # Eager attention trains faster than sdpa on a CPU at these lengths.
    config._attn_implementation = "eager"
    return ElectraForSequenceClassification(config)


def _evaluate(
    result: FitResult,
    tokenizer: Tokenizer,
    padding_length: int,
    texts: list[str],
    label_ids: np.ndarray[Any, np.dtype[np.int64]],
) -> dict[str, Any]:
    """Score the test rows by the very classifier that serves, from a version on disk."""
    with tempfile.TemporaryDirectory() as scratch:
        version = Path(scratch) / "candidate"
        publish(
            result.model,
            tokenizer,
            version,
            padding_length=padding_length,
            metrics={},
            training={},
        )
        classifier = Classifier.load(version, device="auto", threads=torch.get_num_threads())
        predictions = classifier.predict(texts)
    return metrics.summarize(label_ids, predictions.probabilities.astype(np.float64))


def _texts(corpus: Corpus, places: np.ndarray[Any, np.dtype[np.int64]]) -> list[str]:
    return [corpus.texts[place] for place in places]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.starter", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="columns text and label")
    parser.add_argument("--test", type=Path, required=True, help="rows never trained on")
    parser.add_argument("--output", type=Path, required=True, help="the directory to make")
    parser.add_argument("--epochs", type=float, default=StarterSettings.epochs)
    parser.add_argument("--learning-rate", type=float, default=StarterSettings.learning_rate)
    parser.add_argument("--seed", type=int, default=StarterSettings.seed)
    return parser.parse_args(arguments)


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    sys.exit(main())
