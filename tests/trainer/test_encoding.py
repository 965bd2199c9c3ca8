from __future__ import annotations

from pathlib import Path

import numpy as np

from sentiment import windows
from sentiment.classifier import Classifier
from tests.small_fit import make_vocabulary
from tests.tiny_version import TEXTS, build_tiny_version
from trainer.encoding import encode, token_lengths

PADDING_LENGTH = 16


def test_training_reads_long_texts_in_the_windows_of_serving(tmp_path: Path) -> None:
    version = build_tiny_version(tmp_path / "v1", padding_length=PADDING_LENGTH)
    classifier = Classifier.load(version, device="cpu")
    long = " ".join(TEXTS)
    texts = [TEXTS[0], long, "[SEP] 이라고 쓴 글"]
    trained_on = encode(classifier._tokenizer, texts, np.array([0, 2, 1]), PADDING_LENGTH)
    served = windows.encode(classifier._tokenizer, texts, PADDING_LENGTH)
    ends = served.starts + served.lengths
    assert [ids.tolist() for ids in trained_on.input_ids] == [
        served.ids[start:end].tolist() for start, end in zip(served.starts, ends, strict=True)
    ]
    assert trained_on.owners.tolist() == served.owners.tolist()
    assert trained_on.label_ids.tolist() == [[0, 2, 1][owner] for owner in served.owners]
    assert max(trained_on.lengths()) == PADDING_LENGTH


def test_what_a_tokenizer_adds_by_itself_is_not_added_twice() -> None:
    tokenizer = make_vocabulary(TEXTS)
    with_frame = encode(tokenizer, [TEXTS[0]], np.array([0]), 64).input_ids[0].tolist()
    tokenizer.post_processor = None
    assert encode(tokenizer, [TEXTS[0]], np.array([0]), 64).input_ids[0].tolist() == with_frame


def test_token_lengths_count_the_special_ones() -> None:
    tokenizer = make_vocabulary(TEXTS)
    assert token_lengths(tokenizer, ["", "정말"]).tolist() == [2, 4]
    assert token_lengths(tokenizer, []).tolist() == []
