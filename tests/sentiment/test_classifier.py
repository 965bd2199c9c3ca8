"""The classifier on a tiny real Electra, against the plainest way to compute the same."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, ElectraForSequenceClassification

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.store import MANIFEST, record_file
from sentiment.text import prepare
from sentiment.windows import encode
from tests.tiny_version import TEXTS, build_tiny_version

LONG = " ".join(TEXTS * 4)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def classifier(version: Path) -> Classifier:
    return Classifier.load(version, device="cpu", batch_tokens=128)


def _plainly(version: Path, text: str) -> np.ndarray:
    """One text at a time by the library's own tokenizer and model, in fp32."""
    tokenizer = AutoTokenizer.from_pretrained(version)
    model = ElectraForSequenceClassification.from_pretrained(version).eval().float()
    with torch.inference_mode():
        logits = model(**tokenizer(prepare(text), return_tensors="pt")).logits
    return torch.softmax(logits, -1)[0].numpy()


def test_it_says_what_the_plain_way_says_in_input_order(
    version: Path, classifier: Classifier
) -> None:
    texts = [*TEXTS, "좋았다", "", *reversed(TEXTS)]
    predictions = classifier.predict(texts)
    expected = np.stack([_plainly(version, text) for text in texts])
    assert np.abs(predictions.probabilities - expected).max() < 0.02  # bf16
    assert predictions.probabilities.sum(axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    assert not predictions.windowed.any()
    assert len(set(predictions.label_ids.tolist())) > 1


def test_the_transformers_tokenizer_of_a_version_reads_hangul(
    version: Path, classifier: Classifier
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(version)
    ids = tokenizer(TEXTS[0])["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert ids == classifier._tokenizer.encode(TEXTS[0]).ids


def test_equal_texts_are_computed_once_and_answered_each(classifier: Classifier) -> None:
    # Equal once they are prepared: white space and decomposed Hangul do not count.
    texts = [TEXTS[0], f"  {TEXTS[0]} ", TEXTS[1], unicodedata.normalize("NFD", TEXTS[0])]
    predictions = classifier.predict(texts)
    assert predictions.work.texts == predictions.work.windows == 2
    assert len(predictions) == len(predictions.windowed) == 4
    alike = predictions.probabilities[[0, 1, 3]].tolist()
    assert alike == [alike[0]] * 3
    assert predictions.probabilities[2].tolist() != alike[0]
    apart = classifier.predict(TEXTS[:2])
    assert predictions.label_ids[[0, 2]].tolist() == apart.label_ids.tolist()


def test_work_is_told(classifier: Classifier) -> None:
    work = classifier.predict([*TEXTS, LONG, "좋았다"]).work
    assert work.texts == len(TEXTS) + 2
    assert work.windows > work.texts
    assert 0 < work.tokens <= work.padded_tokens
    assert min(work.prepare_s, work.tokenize_s, work.compute_s) > 0


def test_a_long_text_is_read_whole_in_windows(classifier: Classifier) -> None:
    predictions = classifier.predict([LONG, TEXTS[0]])
    assert predictions.windowed.tolist() == [True, False]
    # What stands at the end of a long text counts: nothing is cut off.
    changed = classifier.predict([LONG + " " + " ".join([TEXTS[4]] * 4)])
    assert np.abs(changed.probabilities - predictions.probabilities[:1]).max() > 1e-3


def test_windows_are_averaged_by_their_length(version: Path, classifier: Classifier) -> None:
    tokens = classifier._tokenizer.encode(prepare(LONG), add_special_tokens=False).ids
    windows = encode(classifier._tokenizer, [prepare(LONG)], 32)
    assert windows.lengths.tolist() == [32] * len(windows)
    padded = windows.padded(np.arange(len(windows)))
    assert padded[0, 1:-1].tolist() == tokens[:30]
    assert padded[-1, 1:-1].tolist() == tokens[-30:]


def test_a_megabyte_in_one_text_is_no_trouble(classifier: Classifier) -> None:
    predictions = classifier.predict(["가나다라마바사 " * 40_000])
    assert predictions.windowed.tolist() == [True]


def test_neighbours_do_not_change_a_label(classifier: Classifier) -> None:
    alone = [classifier.predict([text]).label_ids[0] for text in TEXTS]
    assert classifier.predict([*TEXTS, LONG]).label_ids[:-1].tolist() == alone


def test_no_text_is_no_prediction(classifier: Classifier) -> None:
    assert len(classifier.predict([])) == 0


def test_it_reports_between_batches_and_can_be_stopped(classifier: Classifier) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        classifier.predict(TEXTS, on_batch=stop)


def test_temperature_softens_and_keeps_the_label(tmp_path: Path, version: Path) -> None:
    warm = build_tiny_version(tmp_path / "warm")
    manifest = json.loads((warm / MANIFEST).read_text())
    (warm / MANIFEST).write_text(json.dumps(manifest | {"temperature": 4.0}))
    sharp = Classifier.load(version, device="cpu").predict(TEXTS)
    soft = Classifier.load(warm, device="cpu").predict(TEXTS)
    assert soft.label_ids.tolist() == sharp.label_ids.tolist()
    assert (soft.probabilities.max(axis=1) < sharp.probabilities.max(axis=1)).all()


def test_a_tokenizer_that_does_not_read_hangul_is_refused(tmp_path: Path) -> None:
    broken = build_tiny_version(tmp_path / "broken")
    tokenizer = json.loads((broken / "tokenizer.json").read_text())
    tokenizer["normalizer"] |= {"lowercase": True, "strip_accents": True}
    (broken / "tokenizer.json").write_text(json.dumps(tokenizer))
    manifest = json.loads((broken / MANIFEST).read_text())
    manifest["files"]["tokenizer.json"] = record_file(broken / "tokenizer.json").model_dump()
    (broken / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="Hangul"):
        Classifier.load(broken, device="cpu")


def test_a_gpu_that_is_not_there_is_refused_by_name(version: Path) -> None:
    with pytest.raises(ModelError, match="NIFOS_DEVICE=RTX 9999"):
        Classifier.load(version, device="RTX 9999")


def test_the_probe_says_so_in_one_line_with_exit_code_4() -> None:
    probe = subprocess.run(
        [sys.executable, "-m", "sentiment.device", "RTX 9999"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert probe.returncode == 4
    assert probe.stderr.count("\n") == 1
    assert "RTX 9999" in probe.stderr
