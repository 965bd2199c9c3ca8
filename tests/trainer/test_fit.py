"""A real fit of a tiny Electra on texts whose words decide their label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import InputError
from sentiment import metrics
from sentiment.classifier import Classifier
from tests.tiny_version import TEXTS, build_tiny_version
from trainer.corpus import Corpus, merge_equal
from trainer.encoding import encode, token_lengths
from trainer.fit import FitResult, FitSettings, train_with_early_stopping
from trainer.publish import publish
from trainer.split import dataset_split
from trainer.starter import main, make_model
from trainer.vocabulary import train_vocabulary
from trainer.warm_start import fit_word_embeddings

WORDS = ("지루했다", "그냥 그랬다", "재미있었다")
PADDING_LENGTH = 16


def _corpus(rows: int = 1_200) -> Corpus:
    texts = [f"{n}번째 영화는 {WORDS[n % 3]} {n % 7}" for n in range(rows)]
    return merge_equal(texts, [n % 3 for n in range(rows)])


def _fit(tmp_path: Path, settings: FitSettings) -> tuple[FitResult, Corpus, object]:
    corpus = _corpus()
    split = dataset_split(corpus)
    tokenizer = train_vocabulary([*corpus.texts, *TEXTS * 3], 400)
    train, validation = (
        encode(tokenizer, [corpus.texts[n] for n in side], corpus.label_ids[side], PADDING_LENGTH)
        for side in (split.train, split.validation)
    )
    torch.manual_seed(0)
    model = make_model(tokenizer, PADDING_LENGTH, layers=1, width=32, heads=2)
    return (
        train_with_early_stopping(model, train, validation, settings, tmp_path),
        corpus,
        tokenizer,
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[FitResult, Corpus, object]:
    settings = FitSettings(learning_rate=2e-3, epochs=12, batch_rows=32, patience=6)
    return _fit(tmp_path_factory.mktemp("fit"), settings)


def test_it_learns_and_remembers_how(fitted: tuple[FitResult, Corpus, object]) -> None:
    result, _, _ = fitted
    assert result.best_macro_f1 > 0.95
    evaluations = [record for record in result.history if "eval_macro_f1" in record]
    assert max(record["eval_macro_f1"] for record in evaluations) == result.best_macro_f1
    assert any(record["step"] == result.best_step for record in evaluations)


def test_what_is_published_serves_what_was_trained(
    fitted: tuple[FitResult, Corpus, object], tmp_path: Path
) -> None:
    result, corpus, tokenizer = fitted
    publish(
        result.model,
        tokenizer,
        tmp_path / "v1",  # type: ignore[arg-type]
        padding_length=PADDING_LENGTH,
        metrics={},
        training={},
    )
    predictions = Classifier.load(tmp_path / "v1", device="cpu").predict(corpus.texts)
    counts = metrics.confusion(corpus.label_ids, predictions.label_ids.astype(np.int64))
    assert metrics.macro_f1(counts) > 0.95


def test_it_stops_early_and_the_best_weights_are_not_the_last(tmp_path: Path) -> None:
    # A learning rate that ruins the model after it has learned: the last weights are bad.
    settings = FitSettings(
        learning_rate=0.05,
        epochs=30,
        batch_rows=64,
        patience=2,
        schedule="linear",
        evaluations_per_epoch=4,
    )
    result, corpus, tokenizer = _fit(tmp_path, settings)
    assert result.stopped_step < 30 * 15
    assert result.best_step < result.stopped_step
    split = dataset_split(corpus)
    held_out = encode(
        tokenizer,  # type: ignore[arg-type]
        [corpus.texts[n] for n in split.validation],
        corpus.label_ids[split.validation],
        PADDING_LENGTH,
    )
    result.model.eval()
    with torch.inference_mode():
        said = [
            int(result.model(torch.from_numpy(ids.astype(np.int64))[None]).logits.argmax())
            for ids in held_out.input_ids
        ]
    counts = metrics.confusion(held_out.label_ids, np.array(said))
    assert metrics.macro_f1(counts) == pytest.approx(result.best_macro_f1, abs=0.05)


def test_training_reads_long_texts_in_the_windows_of_serving(tmp_path: Path) -> None:
    version = build_tiny_version(tmp_path / "v1", padding_length=PADDING_LENGTH)
    classifier = Classifier.load(version, device="cpu")
    long = " ".join(TEXTS)
    trained_on = encode(classifier._tokenizer, [long], np.array([2]), PADDING_LENGTH)
    served = classifier._encode([long])
    assert [ids.tolist() for ids in trained_on.input_ids] == [ids.tolist() for ids in served.ids]
    assert trained_on.label_ids.tolist() == [2] * len(served.ids)


def test_token_lengths_count_the_special_ones() -> None:
    tokenizer = train_vocabulary(TEXTS * 3, 300)
    assert token_lengths(tokenizer, [""]).tolist() == [2]


def test_word_embeddings_alone_tell_the_classes_apart() -> None:
    corpus = _corpus(6_000)
    tokenizer = train_vocabulary(corpus.texts, 400)
    encoded = encode(tokenizer, corpus.texts, corpus.label_ids, PADDING_LENGTH)
    words = fit_word_embeddings(encoded, vocabulary=tokenizer.get_vocab_size(), width=16, seed=0)
    bad, good = (
        words[tokenizer.encode(word, add_special_tokens=False).ids].mean(0)
        for word in (WORDS[0], WORDS[2])
    )
    assert torch.nn.functional.cosine_similarity(bad, good, dim=0) < 0.9


def test_the_starter_command_says_what_is_wrong_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = str(tmp_path / "gone.parquet")
    code = main(["--data", gone, "--test", gone, "--output", str(tmp_path / "out")])
    assert code == InputError.exit_code
    assert capsys.readouterr().err == f"trainer.starter: {gone}: no such file\n"
