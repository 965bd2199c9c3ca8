"""A model of the Hugging Face hub as a local directory: from the cache, else by the network."""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from huggingface_hub import constants
from transformers.utils.hub import cached_file

from core.errors import ModelError

PROBE_TIMEOUT_S = 5.0
_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
_TOKENIZERS = ("tokenizer.json", "vocab.txt")
# In this order: safetensors where the hub has them.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def is_hub_name(name: str) -> bool:
    """Tell whether a name may be a model's: `owner/model`, or `model`."""
    return _NAME.fullmatch(name) is not None


def local_copy(name: str) -> Path:
    """The directory of a model of the hub, which is fetched if it is not in the cache.

    Raises:
        ModelError: it cannot be fetched; the message says how to put it in place.
    """
    return _cached(name) or _fetch(name)


def _cached(name: str) -> Path | None:
    try:
        return _files(name, local_files_only=True)
    except OSError:
        return None


def _fetch(name: str) -> Path:
    # The library would try for half a minute before it says that there is no network.
    if not _reaches_hub():
        raise ModelError(_by_hand(name, f"{constants.ENDPOINT} cannot be reached"))
    try:
        directory = _files(name, local_files_only=False)
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(_by_hand(name, reason)) from error
    if directory is None:
        raise ModelError(f"{name}: the hub has no weights or no vocabulary of it")
    return directory


def _files(name: str, *, local_files_only: bool) -> Path | None:
    """The directory of a model's files; None if some are missing.

    Raises:
        OSError: there is no such model, or no network.
    """
    config = cached_file(name, "config.json", local_files_only=local_files_only)
    tokenizers = [_file(name, file, local_files_only) for file in _TOKENIZERS]
    weights = None
    for file in _WEIGHTS:
        weights = weights or _file(name, file, local_files_only)
    whole = config is not None and weights is not None and any(tokenizers)
    return Path(str(config)).parent if whole else None


def _file(name: str, file: str, local_files_only: bool) -> str | None:
    try:
        return cached_file(name, file, local_files_only=local_files_only)
    except OSError:
        return None


def _reaches_hub() -> bool:
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310
    try:
        urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S).close()  # noqa: S310
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # somebody answers; the library may trust it
    except OSError:
        return False
    return True


def _by_hand(name: str, reason: str) -> str:
    return (
        f"{name}: no stored version, no directory, and not to be had from the hub ({reason})."
        f" On a machine with network run `hf download {name} --local-dir model`, copy the directory"
        " here, and give its path as the base"
    )
