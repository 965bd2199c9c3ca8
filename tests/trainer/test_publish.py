"""A version's weights as they lie on the disk."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from sentiment.classifier import Classifier
from tests.small_fit import PADDING_LENGTH, WORDS, make_parts
from trainer.publish import WORD_VECTORS, publish


def _weights(target: Path, *, compact_words: bool) -> dict[str, torch.Tensor]:
    parts = make_parts()
    publish(
        parts.model,
        parts.tokenizer,
        target,
        padding_length=PADDING_LENGTH,
        metrics={},
        training={},
        compact_words=compact_words,
    )
    return load_file(target / "model.safetensors")


def test_compact_words_take_half_the_room_and_nothing_else_changes(tmp_path: Path) -> None:
    plain = _weights(tmp_path / "plain", compact_words=False)
    compact = _weights(tmp_path / "compact", compact_words=True)
    assert {name for name in plain if plain[name].dtype != compact[name].dtype} == {WORD_VECTORS}
    assert plain[WORD_VECTORS].nbytes == 2 * compact[WORD_VECTORS].nbytes
    for name, value in plain.items():
        if name != WORD_VECTORS:
            assert torch.equal(value, compact[name]), name


def test_what_serves_reads_compact_words_as_they_were_written(tmp_path: Path) -> None:
    compact = _weights(tmp_path / "compact", compact_words=True)
    classifier = Classifier.load(tmp_path / "compact", device="cpu")
    assert len(classifier.predict([f"정말 {WORDS[2]}"]).label_ids) == 1
    plain = make_parts().model.state_dict()[WORD_VECTORS]
    read = compact[WORD_VECTORS].float()
    # Four significant bits: at most a sixteenth off, but for the smallest.
    torch.testing.assert_close(read, plain, rtol=1 / 16, atol=2e-3)
    assert not torch.equal(read, plain)
