"""The forward pass that a torch engine runs: the lean one, or the library's where that is not it.

`Forward` takes int ids [batch, tokens] and a mask to add to the scores, and gives logits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import ElectraForSequenceClassification

from sentiment.engines.lean import LeanElectra, can_pack, is_plain

Forward = Callable[[Tensor, Tensor | None], Tensor]


def make_forward(model: ElectraForSequenceClassification) -> Forward:
    """The fastest forward pass that computes this model, in its precision, where it lies."""
    if not is_plain(model):
        return library_forward(model)
    return LeanElectra(model, packed=can_pack(model.dtype, model.device)).eval()


def library_forward(model: ElectraForSequenceClassification) -> Forward:
    """The library's own: what every other is measured against."""

    def forward(ids: Tensor, mask: Tensor | None) -> Tensor:
        there = None if mask is None else (mask[:, 0, 0] == 0).long()
        logits: Tensor = model(input_ids=ids, attention_mask=there).logits
        return logits

    return forward


def padding_mask(ids: Tensor, pad: int, dtype: torch.dtype) -> Tensor:
    """What is added to the scores, [batch, 1, 1, tokens]: 0, or the least number for `pad`.

    The least number and not infinity: a row of nothing but padding would give no number.
    """
    mask = torch.zeros(ids.shape, dtype=dtype, device=ids.device)
    return mask.masked_fill_(ids == pad, torch.finfo(dtype).min)[:, None, None, :]
