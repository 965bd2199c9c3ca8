"""A version's weights as they lie on the disk."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from sentiment.engines.loading import load_model
from sentiment.store import Store
from tests.small_fit import PADDING_LENGTH, make_parts
from trainer.base import load_base
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


def test_what_serves_and_what_retrains_read_compact_words_as_they_were_written(
    tmp_path: Path,
) -> None:
    version = tmp_path / "compact"
    written = _weights(version, compact_words=True)[WORD_VECTORS].float()
    words = make_parts().tokenizer.get_vocab_size()
    serves = load_model(version, padding_length=PADDING_LENGTH, vocabulary=words)
    retrains = load_base(str(version), Store(str(tmp_path / "none"), tmp_path)).model
    for model in (serves, retrains):
        read = model.state_dict()[WORD_VECTORS]
        assert read.dtype == torch.float32
        assert torch.equal(read, written)
    plain = make_parts().model.state_dict()[WORD_VECTORS]
    # Four significant bits: at most a sixteenth off, but for the smallest.
    torch.testing.assert_close(written, plain, rtol=1 / 16, atol=2e-3)
    assert not torch.equal(written, plain)
