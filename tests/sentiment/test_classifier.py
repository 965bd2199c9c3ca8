"""The classifier on a tiny real Electra, against the plainest way to compute the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, ElectraForSequenceClassification

from core.errors import ModelError
from sentiment.classifier import Classifier
from sentiment.store import MANIFEST
from sentiment.text import prepare
from sentiment.windows import encode
from tests.tiny_version import TEXTS, build_tiny_version, name_in_manifest

REPOSITORY = Path(__file__).resolve().parents[2]
LONG = " ".join(TEXTS * 4)

# Says how many threads a chunk's prediction leaves behind. In fp32: a check would tokenize sooner.
COUNT_THREADS = """
import sys
from pathlib import Path
from sentiment.classifier import Classifier
def count():
    return len(list(Path("/proc/self/task").iterdir()))
classifier = Classifier.load(Path(sys.argv[1]), device="cpu", precision="fp32", threads=1)
before = count()
classifier.predict([f"{n}번째 글" for n in range(500)])
print(count() - before)
"""


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


class _Counting:
    """A tokenizer that counts the calls for many texts, and how many those were."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode_batch_fast(self, texts: list[str], **options: bool) -> Any:
        self.calls.append(len(texts))
        return self._tokenizer.encode_batch_fast(texts, **options)

    def encode(self, *_arguments: object, **_options: object) -> NoReturn:
        raise AssertionError("a text by itself")


def test_a_whole_chunk_is_tokenized_by_one_call(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = _Counting(classifier._tokenizer)
    monkeypatch.setattr(classifier, "_tokenizer", counting)
    texts = [f"{TEXTS[n % len(TEXTS)]} {n}" for n in range(4_096)]
    assert len(classifier.predict(texts)) == 4_096
    assert counting.calls == [4_096]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core is one thread anyway")
def test_one_thread_tokenizes_where_one_computes(version: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    counted = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS, str(version)],
        cwd=REPOSITORY,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert counted.returncode == 0, counted.stderr
    assert (
        int(counted.stdout.split()[-1]) <= 1
    )  # the one that works while this process's own waits for it


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
    name_in_manifest(broken, "tokenizer.json")
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
