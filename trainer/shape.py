"""An Electra of one's own shape, with random weights: what the starter and the tests begin with."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer
from transformers import ElectraConfig, ElectraForPreTraining, ElectraForSequenceClassification

from sentiment.labels import LABEL_NAMES, LABELS
from trainer.vocabulary import PAD

CLASSIFIER_DROPOUT = 0.2


@dataclass(frozen=True)
class Shape:
    """How large a model is."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    embedding: int | None = None
    """Of a word; None: the width."""


def make_model(
    tokenizer: Tokenizer, padding_length: int, *, layers: int, width: int, heads: int
) -> ElectraForSequenceClassification:
    """A classifier with random weights and our label set."""
    return ElectraForSequenceClassification(
        make_config(tokenizer, padding_length, Shape(layers, width, heads), dropout=0.1)
    )


def make_discriminator(
    tokenizer: Tokenizer, padding_length: int, shape: Shape
) -> ElectraForPreTraining:
    """A model to pre-train, with random weights.

    Without dropout: a small model that sees each text a few times has nothing to forget, and on a
    CPU dropout takes a third of the time.
    """
    return ElectraForPreTraining(make_config(tokenizer, padding_length, shape, dropout=0.0))


def make_config(
    tokenizer: Tokenizer, padding_length: int, shape: Shape, *, dropout: float
) -> ElectraConfig:
    """The configuration of a model that reads this tokenizer's tokens and says our labels."""
    config = ElectraConfig(
        vocab_size=tokenizer.get_vocab_size(),
        embedding_size=shape.embedding or shape.width,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=padding_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        classifier_dropout=CLASSIFIER_DROPOUT,
        pad_token_id=tokenizer.token_to_id(PAD),
        id2label=dict(enumerate(LABEL_NAMES)),
        label2id={label.name: label.id for label in LABELS},
    )
    # Eager attention trains faster than sdpa on a CPU at these lengths.
    config._attn_implementation = "eager"
    return config
