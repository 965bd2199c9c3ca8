"""Was the classification head trained? A base comes without one, and gets random numbers first.

The library fills what a checkpoint lacks with random numbers and a warning. A head that stays so
says anything, while everything else about the model looks right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

HEAD = (
    "classifier.dense.weight",
    "classifier.dense.bias",
    "classifier.out_proj.weight",
    "classifier.out_proj.bias",
)


def head_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """Name the state of a head: of a model's `state_dict()` or of a file's tensors.

    Compared as fp16, as versions are stored: a fit's first step changes the zeros of a new bias
    even there. Empty where a part of the head is missing.
    """
    if not all(name in weights for name in HEAD):
        return ""
    digest = hashlib.sha256()
    for name in HEAD:
        digest.update(weights[name].detach().cpu().half().numpy().tobytes())
    return digest.hexdigest()


def is_head_new(version: Path, initial: str | None) -> bool:
    """Tell whether a version's head is missing, or is what it was before the fit.

    Args:
        version: its directory. Weights that cannot be read are another defect, and no answer here.
        initial: `head_digest` of the model before the fit where its head was newly initialised;
            None where it came with a trained one.
    """
    try:
        now = head_digest(load_file(version / "model.safetensors"))
    except (OSError, SafetensorError):
        return False
    return not now or now == initial
