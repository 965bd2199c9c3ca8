"""Make a base from texts, in a process of its own, for `nifos pretrain`.

`python -m trainer.pretrain_job REQUEST`, a JSON object of `PretrainRequest`'s fields. JSON lines on
stdout tell how far it is. When it fails, the last line on stderr says why. Called again with the
same request it goes on from its last checkpoint.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Tokenizer
from transformers import ElectraForPreTraining

from core.errors import InputError, ModelError
from core.settings import load_settings
from core.told import run_told, tell
from sentiment.engines.loading import make_ready
from sentiment.store import Store
from sentiment.text import prepare
from trainer.base import load_base, load_discriminator
from trainer.base_directory import save_base
from trainer.checkpoints import weights_digest
from trainer.new_model import PADDING_LENGTH, NewModel, encode_unlabelled, new_discriminator
from trainer.pretrain import PretrainProgress, PretrainSettings, pretrain
from trainer.split import is_test_text
from trainer.workdir import hold_workdir

VOCABULARY = "vocabulary.json"
MIN_TEXTS = 1_000  # a vocabulary of fewer is a list of their words
NEW_RATE = PretrainSettings.learning_rate
ADAPTING_RATE = 5e-5  # a base has more to lose


class PretrainRequest(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: Path
    """A Parquet file with a column `text`, as the texts were crawled."""
    work: Path
    """For checkpoints; the caller removes it."""
    output: Path
    """The directory to make."""
    base: str | None = None
    """To adapt, as `trainer.base.load_base` takes it. None: a new model with random weights."""
    layers: int = Field(default=NewModel.layers, ge=1, le=24)
    width: int = Field(default=NewModel.width, ge=32, le=1024, multiple_of=32)
    embedding: int = Field(default=NewModel.embedding, ge=32, le=1024)
    vocabulary: int = Field(default=NewModel.vocabulary, ge=500, le=64_000)
    passes: float = Field(default=PretrainSettings.passes, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    batch_rows: int = Field(default=PretrainSettings.batch_rows, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)


def main() -> None:
    """Do what the request says.

    Raises:
        NifosError: as `make_base`, or the request is none.
    """
    (given,) = sys.argv[1:]
    tell(base=make_base(_parse(given)))


def _parse(given: str) -> PretrainRequest:
    try:
        return PretrainRequest.model_validate_json(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"{first['loc'][0] if first['loc'] else 'it'}: {first['msg']}") from None


def make_base(request: PretrainRequest) -> dict[str, Any]:
    """Pre-train and write the base. Returns what it was made of.

    Raises:
        InputError: too few texts, or the base is not there.
        ModelError: the base cannot be used.
        StoreError: the disk is full.
    """
    started = time.monotonic()
    settings = load_settings(quiet=True)
    tell(stage="reading texts")
    texts = _read_texts(request.texts)
    tell(stage="making the vocabulary" if request.base is None else "loading the base")
    if request.base is None:
        new = NewModel(request.layers, request.width, request.embedding, request.vocabulary)
        model, tokenizer, windows = new_discriminator(
            texts, new, seed=request.seed, kept=request.work / VOCABULARY
        )
        _check_korean(tokenizer)
        start = "new"
    else:
        store = Store(settings.store_url, settings.home / "cache")
        model, tokenizer = _base_discriminator(request.base, store, request.seed)
        start = weights_digest(model)
        length = min(PADDING_LENGTH, int(model.config.max_position_embeddings))
        windows = encode_unlabelled(tokenizer, texts, length)
    how = _settings(request)

    def report(progress: PretrainProgress) -> None:
        tell(**asdict(progress))

    with hold_workdir(request.work / "run", {"of": "pretrain"}) as run:
        pretrain(
            model,
            tokenizer,
            windows,
            how,
            run,
            start=start,
            device=settings.training_device,
            on_progress=report,
        )
    facts = {
        "texts": len(texts),
        "base": request.base,
        "parameters": model.num_parameters(),
        "vocabulary": tokenizer.get_vocab_size(),
        "settings": asdict(how),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "torch": torch.__version__,
    }
    save_base(model, tokenizer, request.output, facts)
    return facts


def _check_korean(tokenizer: Tokenizer) -> None:
    """Refuse what no fit would accept, before hours are spent on it."""
    try:
        make_ready(tokenizer, "a vocabulary of these texts")
    except ModelError as error:
        raise InputError(
            "the texts hold too little Korean for a vocabulary of their own: take more, or adapt a"
            " base by --base"
        ) from error


def _base_discriminator(
    name: str, store: Store, seed: int
) -> tuple[ElectraForPreTraining, Tokenizer]:
    base = load_base(name, store, dropout=0.0, seed=seed)
    return load_discriminator(base, seed=seed), base.tokenizer


def _settings(request: PretrainRequest) -> PretrainSettings:
    rate = NEW_RATE if request.base is None else ADAPTING_RATE
    return PretrainSettings(
        passes=request.passes,
        learning_rate=request.learning_rate or rate,
        batch_rows=request.batch_rows,
        seed=request.seed,
    )


def _read_texts(path: Path) -> list[str]:
    """Prepared texts, each once, in their order, without those that a retrain would test by."""
    column = pq.read_table(path, columns=["text"]).column("text")
    texts: dict[str, None] = {}
    for chunk in column.chunks:
        texts.update(dict.fromkeys(map(prepare, chunk.to_pylist())))
    texts.pop("", None)
    kept = [text for text in texts if not is_test_text(text)]
    if len(kept) < MIN_TEXTS:
        raise InputError(
            f"{len(kept):,} different texts are too few to pre-train on: {MIN_TEXTS:,} at least"
        )
    return kept


if __name__ == "__main__":
    sys.exit(run_told(main))
