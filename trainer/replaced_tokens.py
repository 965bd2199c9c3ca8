"""ELECTRA's pre-training as one module: a small generator replaces words, a discriminator tells.

Clark et al. 2020, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators".
It knows nothing of files, checkpoints or labels.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ElectraConfig, ElectraForPreTraining, ElectraModel

MASKED_SHARE = 0.15
DISCRIMINATOR_WEIGHT = 50.0  # of its loss beside the generator's, as in the paper
GENERATOR_LAYERS = 2
GENERATOR_PART = 2  # of the discriminator's width
_BLOCK = 128  # words


class ReplacedTokens(nn.Module):
    """The discriminator that is kept, and the generator that is thrown away afterwards.

    The generator has word embeddings in common with the discriminator, as in the paper; it reads
    them from there and holds none, so that a checkpoint stores each weight once.
    """

    def __init__(
        self, discriminator: ElectraForPreTraining, *, mask_id: int, special_ids: list[int]
    ) -> None:
        super().__init__()
        config = discriminator.config
        self.discriminator = discriminator
        self.generator = ElectraModel(_generator_config(config))
        width = self.generator.config.hidden_size
        self.to_words = nn.Sequential(
            nn.Linear(width, config.embedding_size),
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
        words = self.discriminator.electra.embeddings.word_embeddings
        hidden = self.generator(
            inputs_embeds=words(masked), attention_mask=attention_mask
        ).last_hidden_state
        # Only where something is masked: the vocabulary is the widest layer by far.
        logits = functional.linear(self.to_words(hidden[chosen]), words.weight, self.word_bias)
        return logits.float()


def _mean(values: Tensor) -> Tensor:
    """The mean, 0 of nothing: in a batch of very short texts nothing may have been chosen."""
    return values.sum() / max(1, len(values))


def _generator_config(config: ElectraConfig) -> ElectraConfig:
    smaller: Any = deepcopy(config)
    smaller.hidden_size = config.hidden_size // GENERATOR_PART
    smaller.intermediate_size = config.intermediate_size // GENERATOR_PART
    smaller.num_attention_heads = max(1, config.num_attention_heads // GENERATOR_PART)
    smaller.num_hidden_layers = min(GENERATOR_LAYERS, config.num_hidden_layers)
    smaller.vocab_size = 1  # it reads the discriminator's
    smaller.pad_token_id = 0
    made: ElectraConfig = smaller
    return made


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
