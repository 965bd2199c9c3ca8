"""A pre-trained model as a directory, which `trainer.base.load_base` takes by its path."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from tokenizers import Tokenizer
from transformers import ElectraForPreTraining

from core.errors import InputError
from trainer.checkpoints import disk_errors
from trainer.vocabulary import save_tokenizer

FACTS = "pretraining.json"


def save_base(
    model: ElectraForPreTraining, tokenizer: Tokenizer, target: Path, facts: Mapping[str, Any]
) -> None:
    """Write a base, whole or not at all.

    Args:
        model: pre-trained.
        tokenizer: of the model.
        target: the directory to make.
        facts: what it was made of, for people.

    Raises:
        InputError: the target exists.
        StoreError: the disk is full or refuses.
    """
    if target.exists():
        raise InputError(f"{target} exists already")
    aside = target.parent / f".{target.name}.{uuid4().hex}"
    try:
        with disk_errors(target.parent):
            aside.mkdir(parents=True)
            model.save_pretrained(aside)
            save_tokenizer(tokenizer, aside, int(model.config.max_position_embeddings))
            words = json.dumps(dict(facts), ensure_ascii=False, indent=2)
            (aside / FACTS).write_text(f"{words}\n", encoding="utf-8")
            for path in aside.iterdir():
                path.chmod(0o644)  # the library writes weights for the owner alone
            aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
