"""Electra's forward pass for serving, over the weights of the library's module.

The same numbers as the library's forward in less work: one product for query, key and value; the
last layer for the first token alone, the only one that the head reads (7 % of a 12-layer model, a
fifth of a 4-layer one); on a CPU the weights laid out once for oneDNN, which otherwise does so at
every call, with bias, GELU and residual sum inside the product. It knows no tokens and no batches.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ElectraForSequenceClassification

PACKED_FOR_ROWS = 512  # tokens of a batch that oneDNN's layout is chosen for; others work as well


class Product(NamedTuple):
    """Weights [out, in], laid out for oneDNN or plain, and bias [out]."""

    weight: Tensor
    bias: Tensor
    packed: bool


class Layer(NamedTuple):
    """One layer's products: those for query, key and value may be one, or one each."""

    attending: tuple[Product, ...]
    attended: Product
    attended_norm: nn.LayerNorm
    inner: Product
    outer: Product
    outer_norm: nn.LayerNorm


def is_plain(model: ElectraForSequenceClassification) -> bool:
    """Tell whether a model is what is computed here: exact GELU, no decoder."""
    config = model.config
    return config.hidden_act == "gelu" and not config.is_decoder and not config.add_cross_attention


def can_pack(dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether oneDNN has products of its own layout for it: bf16 on a CPU that computes it."""
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and _packs()
    )


@cache
def _packs() -> bool:
    """Try it: these operators are torch's own, not public, and a release may change them."""
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.no_grad():
            x = torch.ones(1, 8, dtype=torch.bfloat16)
            product = _product((nn.Linear(8, 8, dtype=torch.bfloat16),), packed=True)
            _times_plus(_times(x, product, "gelu"), product, x)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


class LeanElectra(nn.Module):
    """Ids in, logits out: int [batch, tokens] to [batch, 3] in the model's precision.

    Args:
        model: in its final precision, on its device; `is_plain`.
        packed: whether products are laid out for oneDNN; see `can_pack`.
        fused: whether query, key and value are one product. OpenVINO is faster with three.
    """

    def __init__(
        self, model: ElectraForSequenceClassification, *, packed: bool, fused: bool = True
    ) -> None:
        super().__init__()
        electra: Any = model.electra
        self._words = electra.embeddings.word_embeddings
        self._norm = electra.embeddings.LayerNorm
        kind = electra.embeddings.token_type_embeddings.weight[0]
        self._positions = (electra.embeddings.position_embeddings.weight + kind).detach()
        self._project = getattr(electra, "embeddings_project", None)
        self._heads = int(model.config.num_attention_heads)
        self._head: Any = model.classifier
        *others, last = electra.encoder.layer
        parts = (3,) if fused else (1, 1, 1)
        self._layers = [_layer(layer, packed, parts) for layer in others]
        self._last = _layer(last, packed, (1, 2) if fused else (1, 1, 1))

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute.

        Args:
            ids: int [batch, tokens].
            mask: added to the scores, [batch, 1, 1, tokens], 0 or very negative; None where
                nothing is padded.
        """
        tokens = ids.shape[1]
        x = self._norm(self._words(ids) + self._positions[:tokens])
        if self._project is not None:
            x = self._project(x)
        for layer in self._layers:
            x = self._whole(x, layer, mask)
        first = self._first(x, self._last, mask)
        return self._head.out_proj(functional.gelu(self._head.dense(first)))  # type: ignore[no-any-return]

    def _whole(self, x: Tensor, layer: Layer, mask: Tensor | None) -> Tensor:
        query, key, value = self._split(x, layer.attending)
        return _finish(_attend(query, key, value, mask), x, layer)

    def _first(self, x: Tensor, layer: Layer, mask: Tensor | None) -> Tensor:
        first = x[:, :1]
        (query,) = self._split(first, layer.attending[:1])
        key, value = self._split(x, layer.attending[1:])
        return _finish(_attend(query, key, value, mask), first, layer)[:, 0]

    def _split(self, x: Tensor, products: tuple[Product, ...]) -> list[Tensor]:
        """[batch, tokens, hidden] to query, key, value: [batch, heads, tokens, hidden / heads]."""
        batch, tokens, hidden = x.shape
        found: list[Tensor] = []
        for product in products:
            shape = (batch, tokens, -1, self._heads, hidden // self._heads)
            found.extend(_times(x, product).view(shape).permute(2, 0, 3, 1, 4).unbind(0))
        return found


def _layer(layer: Any, packed: bool, parts: tuple[int, ...]) -> Layer:
    """Args: parts: of query, key and value, how many each product takes, in this order."""
    own = layer.attention.self
    left = [own.query, own.key, own.value]
    attending = []
    for count in parts:
        attending.append(_product(tuple(left[:count]), packed))
        left = left[count:]
    return Layer(
        tuple(attending),
        _product((layer.attention.output.dense,), packed),
        layer.attention.output.LayerNorm,
        _product((layer.intermediate.dense,), packed),
        _product((layer.output.dense,), packed),
        layer.output.LayerNorm,
    )


def _product(parts: tuple[nn.Linear, ...], packed: bool) -> Product:
    weight = torch.cat([part.weight.detach() for part in parts])
    bias = torch.cat([part.bias.detach() for part in parts])
    if packed:
        weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR_ROWS)
    return Product(weight, bias, packed)


def _times(x: Tensor, product: Product, then: str = "none") -> Tensor:
    if product.packed:
        # GELU's own attribute: exact, not the approximation by tanh.
        how = "none" if then == "gelu" else ""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, product.weight, product.bias, then, [], how
        )
        return y
    y = functional.linear(x, product.weight, product.bias)
    return functional.gelu(y) if then == "gelu" else y


def _times_plus(x: Tensor, product: Product, other: Tensor) -> Tensor:
    if product.packed:
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x, other.contiguous(), product.weight, product.bias, "add"
        )
        return y
    return functional.linear(x, product.weight, product.bias) + other


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def _finish(mixed: Tensor, x: Tensor, layer: Layer) -> Tensor:
    x = layer.attended_norm(_times_plus(mixed, layer.attended, x))
    inner = _times(x, layer.inner, "gelu")
    return layer.outer_norm(_times_plus(inner, layer.outer, x))  # type: ignore[no-any-return]
