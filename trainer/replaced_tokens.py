"""ELECTRA's pre-training as one module: a small generator replaces words, a discriminator tells.

Clark et al. 2020, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators".
There the two have word embeddings in common; here the generator is the lower half of the
discriminator. Guessing words teaches a small model much faster than telling them apart, and so it
teaches the model that is kept (docs/decisions/0010-pretraining.md). It knows nothing of files,
checkpoints or labels.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ElectraForPreTraining, ElectraModel

MASKED_SHARE = 0.15
# Of its loss beside the generator's. The paper has 50, where each has its own layers; here that
# would drown what the layers in common learn from guessing.
DISCRIMINATOR_WEIGHT = 10.0
_BLOCK = 128  # words


class ReplacedTokens(nn.Module):
    """The discriminator, which is kept, and what makes a generator of its lower half."""

    def __init__(
        self, discriminator: ElectraForPreTraining, *, mask_id: int, special_ids: list[int]
    ) -> None:
        super().__init__()
        config = discriminator.config
        self.discriminator = discriminator
        # In a tuple: it has no weights of its own, and a checkpoint stores each weight once.
        self._generator = (_lower_half(discriminator.electra),)
        self.to_words = nn.Sequential(
            nn.Linear(config.hidden_size, config.embedding_size),
            nn.GELU(),
            nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps),
        )
        self.word_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.mask_id = mask_id
        self.special_ids: Tensor
        self.register_buffer("special_ids", torch.tensor(special_ids), persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Mask, replace and judge one batch.

        Args:
            input_ids: int64 [rows, tokens].
            attention_mask: int64 [rows, tokens], 0 where padded.

        Returns:
            `loss`; and, without gradients, `generator_loss`, `discriminator_loss` and `found`, the
            share of the replaced tokens that were told.
        """
        ordinary = attention_mask.bool() & ~torch.isin(input_ids, self.special_ids)
        chosen = ordinary & (torch.rand(input_ids.shape, device=input_ids.device) < MASKED_SHARE)
        masked = input_ids.masked_fill(chosen, self.mask_id)
        word_logits = self._guess(masked, attention_mask, chosen)
        generator_loss = _mean(
            functional.cross_entropy(word_logits, input_ids[chosen], reduction="none")
        )
        lies = input_ids.clone()
        lies[chosen] = sample_words(word_logits.detach())
        replaced = (lies != input_ids).float()
        told = self.discriminator(input_ids=lies, attention_mask=attention_mask).logits.float()
        judged = _mean(
            functional.binary_cross_entropy_with_logits(
                told[ordinary], replaced[ordinary], reduction="none"
            )
        )
        return {
            "loss": generator_loss + DISCRIMINATOR_WEIGHT * judged,
            "generator_loss": generator_loss.detach(),
            "discriminator_loss": judged.detach(),
            "found": _mean((told[replaced.bool()] > 0).float()),
        }

    def _guess(self, masked: Tensor, attention_mask: Tensor, chosen: Tensor) -> Tensor:
        (generator,) = self._generator
        words = self.discriminator.electra.embeddings.word_embeddings
        hidden = generator(input_ids=masked, attention_mask=attention_mask).last_hidden_state
        # Only where something is masked: the vocabulary is the widest layer by far.
        logits = functional.linear(self.to_words(hidden[chosen]), words.weight, self.word_bias)
        return logits.float()


def _mean(values: Tensor) -> Tensor:
    """The mean, 0 of nothing: in a batch of very short texts nothing may have been chosen."""
    return values.sum() / max(1, len(values))


def _lower_half(electra: ElectraModel) -> ElectraModel:
    """A model that consists of another's embeddings and lower layers."""
    config = deepcopy(electra.config)
    config.num_hidden_layers = -(-electra.config.num_hidden_layers // 2)
    lower = ElectraModel(config)
    lower.embeddings = electra.embeddings
    if hasattr(electra, "embeddings_project"):
        lower.embeddings_project = electra.embeddings_project
    lower.encoder.layer = electra.encoder.layer[: config.num_hidden_layers]
    return lower


def sample_words(logits: Tensor) -> Tensor:
    """One token a row by its probability: int64 [rows].

    Inverse of the cumulated distribution, first over blocks of words and then within one: a tenth
    faster in all than cumulating the vocabulary at once, and one random number a row instead of one
    a word.
    """
    rows, words = logits.shape
    padded = functional.pad(logits.softmax(dim=-1), (0, -words % _BLOCK))
    blocks = padded.view(rows, padded.shape[1] // _BLOCK, _BLOCK)
    ends = blocks.sum(dim=-1).cumsum(dim=-1)
    at = torch.rand(rows, 1, device=logits.device) * ends[:, -1:]
    block = torch.searchsorted(ends, at).clamp_(max=ends.shape[1] - 1)
    before = ends.gather(1, block) - blocks.sum(dim=-1).gather(1, block)
    inside = blocks[torch.arange(rows, device=logits.device), block.squeeze(-1)].cumsum(dim=-1)
    place = torch.searchsorted(inside, (at - before).clamp_(min=0)).clamp_(max=_BLOCK - 1)
    return (block * _BLOCK + place).squeeze(-1).clamp_(max=words - 1)
