"""What a fit begins with: a stored version, a directory, or a model of the hub.

Any Electra will do: a version goes on with its head, a pre-trained discriminator gets a new one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import ElectraConfig, ElectraForPreTraining, ElectraForSequenceClassification
from transformers.utils import logging as transformers_logging

from core.errors import InputError, ModelError
from sentiment.engines.loading import make_ready
from sentiment.labels import LABEL_NAMES, LABELS, parse_label
from sentiment.manifest import MANIFEST
from sentiment.store import Store, shipped_version, verify
from trainer.hub import is_hub_name, local_copy
from trainer.vocabulary import PAD, never_lower_case, read_vocabulary

DROPOUT = 0.2
_SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_HEAD = "classifier."
_TELLING_HEAD = "discriminator_predictions."
# What libraries raise of a file that is cut, bent, or something else. torch's unpickler walks
# through a pickle and stumbles over it where it may.
_NO_WEIGHTS = (
    *(OSError, ValueError, RuntimeError, SafetensorError),
    *(UnpicklingError, EOFError, LookupError, AttributeError, TypeError, struct.error),
)


@dataclass(frozen=True)
class Base:
    """A model to fit, and the tokenizer that it reads with."""

    name: str
    model: ElectraForSequenceClassification
    """fp32, on the CPU, with our label set."""
    tokenizer: Tokenizer
    new_head: bool
    """The classification head is random: it says nothing until it is trained."""
    directory: Path
    """Where it was found."""

    @property
    def max_padding_length(self) -> int:
        """Tokens that the model has positions for, special ones included."""
        return int(self.model.config.max_position_embeddings)


def load_base(
    name: str,
    store: Store,
    *,
    dropout: float = DROPOUT,
    seed: int = 0,
    checksums: Mapping[str, str] | None = None,
) -> Base:
    """Load what a fit begins with.

    A name is looked up as a stored version, as a directory, as the version that comes with the
    program, and on the hub, in this order.

    Args:
        name: of a version in the store, of a directory, or of a model on the hub.
        store: of the versions.
        dropout: share, in the whole model: hidden states, attention, head.
        seed: of a new head.
        checksums: of a stored version as it was registered, if that is known.

    Raises:
        InputError: nothing has this name.
        ModelError: damaged, changed by hand, no Electra, or a tokenizer that does not read Hangul;
            or a model of the hub that cannot be fetched, with how to put it in place.
        StoreError: the store cannot be reached.
    """
    directory = _find(name, store, checksums)
    tokenizer = _load_tokenizer(directory)
    config = _load_config(directory)
    known_head = _says_our_labels(config)
    config.update(
        {
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
            "classifier_dropout": dropout,
            "pad_token_id": tokenizer.token_to_id(PAD),
            "id2label": dict(enumerate(LABEL_NAMES)),
            "label2id": {label.name: label.id for label in LABELS},
        }
    )
    if config.vocab_size < tokenizer.get_vocab_size():
        raise ModelError(f"{directory}: the tokenizer has more tokens than the model knows")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the same head each time, or a killed fit would not go on
        model, head_is_whole = _load_model(directory, config)
        if not known_head:
            _renew_head(model)
    new_head = not (known_head and head_is_whole)
    return Base(name, model.eval(), tokenizer, new_head, directory)


def load_discriminator(base: Base, *, seed: int = 0) -> ElectraForPreTraining:
    """The same base for replaced-token detection, with its head for that where it has one.

    Args:
        base: as `load_base` found it.
        seed: of a new head, which a version gets: it has one for labels alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: ElectraForPreTraining
        model, _ = _load_model(
            base.directory, base.model.config, ElectraForPreTraining, _TELLING_HEAD
        )
    return model


def _find(name: str, store: Store, checksums: Mapping[str, str] | None) -> Path:
    if name in store.names():
        return store.fetch(name, checksums)
    directory = Path(name).expanduser()
    if name and directory.is_dir():
        if (directory / MANIFEST).exists():
            verify(directory)
        return directory
    if name == shipped_version().name:
        verify(shipped_version())
        return shipped_version()
    if is_hub_name(name):
        return local_copy(name)
    raise InputError(
        f"{name}: no stored version, no directory, and no name of a model on the hub; `nifos models"
        " list` shows the versions"
    )


def _load_tokenizer(directory: Path) -> Tokenizer:
    written, vocabulary = directory / "tokenizer.json", directory / "vocab.txt"
    if written.exists():
        try:
            return _read_tokenizer(written)
        except ModelError:
            # Such as one that transformers 5 has saved with lower-casing.
            if not vocabulary.exists():
                raise
    if not vocabulary.exists():
        raise ModelError(f"{directory}: neither tokenizer.json nor vocab.txt is there")
    tokenizer = read_vocabulary(vocabulary)
    make_ready(tokenizer, str(directory))
    return tokenizer


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise ModelError(f"{path}: it is no tokenizer") from error
    never_lower_case(tokenizer)
    make_ready(tokenizer, str(path.parent))
    return tokenizer


def _load_config(directory: Path) -> ElectraConfig:
    try:
        found = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        kind = found.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{directory}: config.json is missing or damaged") from error
    if kind != "electra":
        raise ModelError(
            f"{directory}: a model of type {kind}, only an Electra can be trained here"
        )
    return ElectraConfig.from_dict(found)


def _says_our_labels(config: ElectraConfig) -> bool:
    names = {int(place): name for place, name in (config.id2label or {}).items()}
    meant = [parse_label(names[place]) for place in sorted(names)]
    return meant == list(LABELS)


def _load_model(
    directory: Path,
    config: ElectraConfig,
    kind: Any = ElectraForSequenceClassification,
    head: str = _HEAD,
) -> tuple[Any, bool]:
    """A model of a kind, and whether the weights of its head were there."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # a new head is what we expect, and report ourselves
    transformers_logging.disable_progress_bar()
    try:
        # Typed as the model alone; with `output_loading_info` it is a pair.
        loaded: Any = kind.from_pretrained(
            str(directory),
            config=config,
            local_files_only=True,
            # Without safetensors the library reads the .bin by torch's unpickler for tensors alone,
            # which runs no code (docs/decisions/0013).
            use_safetensors=any((directory / name).exists() for name in _SAFE_WEIGHTS),
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except _NO_WEIGHTS as error:
        raise ModelError(
            f"{directory}: its weights cannot be loaded ({type(error).__name__})"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    model, report = loaded
    # The library fills what is missing or of another size with random numbers.
    absent = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    for key in sorted(absent):
        if not key.startswith(head):
            raise ModelError(f"{directory}: its weights lack {key}, or it has another size there")
    return model, not absent


def _renew_head(model: ElectraForSequenceClassification) -> None:
    for module in model.classifier.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=model.config.initializer_range)
            torch.nn.init.zeros_(module.bias)
