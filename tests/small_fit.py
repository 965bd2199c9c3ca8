"""A real fit that takes seconds: a tiny Electra on texts whose words decide their label.

`python -m tests.small_fit DIRECTORY` runs it as a process that a test can kill: it prints its
progress, and the result as the last line, all of it JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification

from tests.tiny_version import TEXTS, spread_out
from trainer.corpus import Corpus, merge_equal
from trainer.encoding import Encoded, encode
from trainer.fit import FitProgress, FitSettings, train_with_early_stopping
from trainer.shape import make_model
from trainer.split import dataset_split
from trainer.vocabulary import SPECIAL_TOKENS, read_vocabulary

WORDS = ("지루했다", "그냥 그랬다", "재미있었다")
PADDING_LENGTH = 40
SETTINGS = FitSettings(learning_rate=1e-3, epochs=5, batch_rows=16, patience=5)


@dataclass(frozen=True)
class Parts:
    """What a fit is given."""

    corpus: Corpus
    tokenizer: Tokenizer
    model: ElectraForSequenceClassification
    train: Encoded
    validation: Encoded


def make_corpus(rows: int = 400) -> Corpus:
    texts = [f"{n}번째 영화는 {WORDS[n % 3]} {'그리고 ' * (n % 5)}{n % 7}" for n in range(rows)]
    return merge_equal(texts, [n % 3 for n in range(rows)])


def make_vocabulary(texts: Sequence[str]) -> Tokenizer:
    """Characters: learning a vocabulary breaks ties by chance, and no fit is the same then."""
    characters = sorted({character for text in texts for character in text if character != " "})
    tokens = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "vocab.txt"
        path.write_text("\n".join(tokens), encoding="utf-8")
        return read_vocabulary(path)


def make_parts(rows: int = 400, *, dropout: float = 0.1) -> Parts:
    """The same parts at each call."""
    corpus = make_corpus(rows)
    split = dataset_split(corpus)
    tokenizer = make_vocabulary([*corpus.texts, *TEXTS])
    train, validation = (
        encode(tokenizer, [corpus.texts[n] for n in side], corpus.label_ids[side], PADDING_LENGTH)
        for side in (split.train, split.validation)
    )
    torch.manual_seed(0)
    model = make_model(tokenizer, PADDING_LENGTH, layers=1, width=32, heads=2)
    spread_out(model, 3)  # or it learns nothing for some epochs
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    return Parts(corpus, tokenizer, model, train, validation)


def main() -> None:
    torch.set_num_threads(1)  # as in the tests: so small a model is slower with more
    parts = make_parts()

    def show(progress: FitProgress) -> None:
        _say({"epoch": progress.epoch, "step": progress.step})

    result = train_with_early_stopping(
        parts.model,
        parts.train,
        parts.validation,
        SETTINGS,
        Path(sys.argv[1]),
        device="cpu",
        on_progress=show,
    )
    _say(
        {
            "history": result.history,
            "best_macro_f1": result.best_macro_f1,
            "resumed": result.resumed,
        }
    )


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
