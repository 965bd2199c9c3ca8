"""Prepared texts as windows of token ids, ready for an engine. It knows no tensor library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sentiment.batching import WINDOW_OVERLAP, plan_windows, round_widths

FRAME_TOKENS = ("[CLS]", "[SEP]", "[PAD]")  # around a window, and behind a short one
SPECIAL_TOKENS = 2  # [CLS] and [SEP] around each window
LONG_CHARACTERS = 20_000  # beyond that a text is tokenized in pieces, to bound memory

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Windows:
    """Every window of a chunk, one after another in one array: a row costs no object.

    ids: int32 [tokens], [CLS] and [SEP] of each window included. starts, lengths: int64 [windows],
    where a window begins in `ids` and how many tokens it has. owners: int64 [windows], the text it
    is of, ascending. widths: int64 [windows], how wide a batch is padded of which it is the
    longest. pad: the id that stands for no token.
    """

    ids: Ids
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    widths: NDArray[np.int64]
    owners: NDArray[np.int64]
    pad: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each counts within its text: its tokens without [CLS] and [SEP], 1 at least."""
        return (self.lengths - SPECIAL_TOKENS).clip(1).astype(np.float64)

    def padded(self, rows: NDArray[np.int64]) -> Ids:
        """The ids of some windows as one array: int32 [rows, width], filled up with `pad`."""
        lengths = self.lengths[rows]
        width = int(self.widths[rows].max())
        places = self.starts[rows, None] + np.arange(width)
        if int(lengths.min()) == width:
            return np.asarray(self.ids[places], np.int32)
        inside = np.arange(width) < lengths[:, None]
        filled = np.where(inside, self.ids[np.where(inside, places, 0)], self.pad)
        return filled.astype(np.int32, copy=False)


def encode(tokenizer: Tokenizer, prepared: Sequence[str], padding_length: int) -> Windows:
    """Tokenize a chunk by one call and cut what is long.

    Args:
        tokenizer: as `sentiment.engines.loading.make_ready` leaves it.
        prepared: of `sentiment.text.prepare`.
        padding_length: tokens of the longest window, [CLS] and [SEP] included.
    """
    tokens, sizes = _tokenize(tokenizer, prepared)
    starts, lengths, owners = _cut(sizes, padding_length - SPECIAL_TOKENS)
    cls, sep, pad = (int(tokenizer.token_to_id(token) or 0) for token in FRAME_TOKENS)
    framed_starts = _places_before(lengths + SPECIAL_TOKENS)
    framed_ends = framed_starts + lengths + 1
    framed = np.empty(int(lengths.sum()) + SPECIAL_TOKENS * len(lengths), np.int32)
    inner = np.ones(len(framed), np.bool_)
    inner[framed_starts] = inner[framed_ends] = False
    framed[framed_starts], framed[framed_ends] = cls, sep
    within = np.arange(int(lengths.sum())) - np.repeat(_places_before(lengths), lengths)
    framed[inner] = tokens[np.repeat(starts, lengths) + within]
    framed_lengths = lengths + SPECIAL_TOKENS
    widths = round_widths(framed_lengths, padding_length)
    return Windows(framed, framed_starts, framed_lengths, widths, owners, pad)


def _tokenize(tokenizer: Tokenizer, prepared: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
    """Tokens of all texts one after another, and how many each has."""
    short = [text if len(text) <= LONG_CHARACTERS else "" for text in prepared]
    encoded = tokenizer.encode_batch_fast(short, add_special_tokens=False)
    pieces: list[list[int]] = [item.ids for item in encoded]
    for owner, text in enumerate(prepared):
        if len(text) > LONG_CHARACTERS:
            pieces[owner] = _encode_long(tokenizer, text)
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return np.fromiter(chain.from_iterable(pieces), np.int32, int(sizes.sum())), sizes


def _encode_long(tokenizer: Tokenizer, text: str) -> list[int]:
    # Cut where a space is, so that no word is: an Encoding holds some hundred bytes a token.
    tokens: list[int] = []
    start = 0
    while start < len(text):
        end = start + LONG_CHARACTERS
        space = text.rfind(" ", start, end) if end < len(text) else -1
        end = space if space > start else min(end, len(text))
        tokens.extend(tokenizer.encode(text[start:end], add_special_tokens=False).ids)
        start = end
    return tokens


def _cut(
    sizes: NDArray[np.int64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where each window begins among all tokens, how long it is, and of which text it is."""
    begins = _places_before(sizes)
    if int(sizes.max(initial=0)) <= room:
        return begins, sizes, np.arange(len(sizes))
    cut = [
        (int(begins[owner]) + start, end - start, owner)
        for owner, size in enumerate(sizes.tolist())
        for start, end in plan_windows(size, room, WINDOW_OVERLAP)
    ]
    starts, lengths, owners = np.array(cut, np.int64).T
    return starts, lengths, owners


def _places_before(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(sizes) - sizes
