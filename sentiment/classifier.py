"""A version in memory: texts in, labels and probabilities out, in the order of the texts.

It knows nothing of documents, chunks or databases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification

from core.errors import DeviceError
from sentiment.batching import WINDOW_OVERLAP, plan_batches, plan_windows
from sentiment.device import choose_device
from sentiment.engine import FRAME_TOKENS, load_model, load_tokenizer
from sentiment.labels import LABELS
from sentiment.store import verify
from sentiment.text import prepare

SPECIAL_TOKENS = 2  # [CLS] and [SEP] around each window
CPU_BATCH_TOKENS = 1_024  # little padding, and small enough for a core's caches
GPU_BATCH_TOKENS = 32_768
MAX_BATCH_ROWS = 1_024
LONG_CHARACTERS = 20_000  # beyond that a text is tokenized in pieces, to bound memory

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Predictions:
    """Columns of equal length, a row for each text.

    label_ids: int8 [texts]. probabilities: float32 [texts, 3], summing to 1. windowed: bool
    [texts], whether a text was longer than the padding length and read in windows.
    """

    label_ids: NDArray[np.int8]
    probabilities: NDArray[np.float32]
    windowed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.label_ids)


@dataclass(frozen=True)
class _Windows:
    """Token ids of every window, and which text it is of."""

    ids: list[Ids]
    owners: NDArray[np.int64]


class Classifier:
    """One version, loaded and checked. Make it by `load`.

    The same text gets the same label whatever stands beside it, up to the rounding of bf16: a
    probability may differ in the third place with the shape of the batch.
    """

    def __init__(
        self,
        model: ElectraForSequenceClassification,
        tokenizer: Tokenizer,
        *,
        padding_length: int,
        temperature: float,
        batch_tokens: int,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._padding_length = padding_length
        self._temperature = temperature
        self._batch_tokens = batch_tokens
        self._cls, self._sep, self._pad = (
            int(tokenizer.token_to_id(token) or 0) for token in FRAME_TOKENS
        )

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        device: str = "auto",
        batch_tokens: int | None = None,
        threads: int | None = None,
    ) -> Classifier:
        """Load a version from its directory.

        Args:
            directory: of the version; its checksums are verified.
            device: `auto`, `cpu`, `cuda:N` or part of a GPU's name.
            batch_tokens: padded tokens of one batch; None: what was measured for the device.
            threads: of this process's computations on a CPU; None: torch's own choice.

        Raises:
            ModelError: damaged, of other labels or text rules, a tokenizer that does not read
                Hangul, or no such device.
        """
        manifest = verify(directory)
        chosen = choose_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        tokenizer = load_tokenizer(directory)
        return cls(
            load_model(
                directory,
                chosen,
                padding_length=manifest.padding_length,
                vocabulary=tokenizer.get_vocab_size(),
            ),
            tokenizer,
            padding_length=manifest.padding_length,
            temperature=manifest.temperature,
            batch_tokens=batch_tokens
            or (GPU_BATCH_TOKENS if chosen.type == "cuda" else CPU_BATCH_TOKENS),
        )

    def predict(
        self, texts: Sequence[str], *, on_batch: Callable[[], None] | None = None
    ) -> Predictions:
        """Label texts.

        Identical prepared texts are computed once. Windows of a text that is longer than the
        padding length are averaged, logits weighted by window length.

        Args:
            texts: as they are stored; they are prepared here.
            on_batch: called after every batch; an exception of it ends the prediction.

        Raises:
            DeviceError: a GPU ran out of memory or broke; this process can use it no more.
        """
        if not texts:
            return Predictions(
                np.zeros(0, np.int8), np.zeros((0, len(LABELS)), np.float32), np.zeros(0, np.bool_)
            )
        place_of: dict[str, int] = {}
        places = np.array([place_of.setdefault(prepare(text), len(place_of)) for text in texts])
        windows = self._encode(list(place_of))
        logits = self._compute(windows.ids, on_batch)
        weights = np.array([len(ids) - SPECIAL_TOKENS for ids in windows.ids], np.float64).clip(1)
        mean = _weighted_mean(logits, windows.owners, weights, len(place_of))
        probabilities = _softmax(mean / self._temperature)[places]
        windowed = np.bincount(windows.owners, minlength=len(place_of)) > 1
        return Predictions(
            probabilities.argmax(axis=1).astype(np.int8),
            probabilities.astype(np.float32),
            windowed[places],
        )

    def _encode(self, prepared: list[str]) -> _Windows:
        room = self._padding_length - SPECIAL_TOKENS
        ids: list[Ids] = []
        owners: list[int] = []
        short = [text if len(text) <= LONG_CHARACTERS else "" for text in prepared]
        encoded = self._tokenizer.encode_batch_fast(short, add_special_tokens=False)
        for owner, item in enumerate(encoded):
            long = len(prepared[owner]) > LONG_CHARACTERS
            tokens = self._encode_long(prepared[owner]) if long else np.array(item.ids, np.int32)
            for start, end in plan_windows(len(tokens), room, WINDOW_OVERLAP):
                ids.append(np.concatenate(([self._cls], tokens[start:end], [self._sep])))
                owners.append(owner)
        return _Windows(ids, np.array(owners, np.int64))

    def _encode_long(self, text: str) -> Ids:
        # Cut where a space is, so that no word is: an Encoding holds some hundred bytes a token.
        pieces: list[Ids] = []
        start = 0
        while start < len(text):
            end = start + LONG_CHARACTERS
            space = text.rfind(" ", start, end) if end < len(text) else -1
            end = space if space > start else min(end, len(text))
            encoded = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            pieces.append(np.array(encoded.ids, np.int32))
            start = end
        return np.concatenate(pieces)

    def _compute(
        self, windows: list[Ids], on_batch: Callable[[], None] | None
    ) -> NDArray[np.float64]:
        lengths = np.array([len(ids) for ids in windows], np.int64)
        logits = np.empty((len(windows), len(LABELS)), np.float64)
        with torch.inference_mode():
            for rows in plan_batches(lengths, self._batch_tokens, MAX_BATCH_ROWS):
                try:
                    logits[rows] = self._forward([windows[row] for row in rows])
                except (torch.AcceleratorError, torch.OutOfMemoryError) as error:
                    raise DeviceError(f"the GPU failed ({type(error).__name__})") from error
                if on_batch is not None:
                    on_batch()
        return logits

    def _forward(self, batch: list[Ids]) -> NDArray[np.float32]:
        longest = len(batch[0])  # batches come longest first
        shortest = len(batch[-1])
        input_ids = np.full((len(batch), longest), self._pad, np.int64)
        for row, ids in enumerate(batch):
            input_ids[row, : len(ids)] = ids
        device = self._model.device
        tokens = torch.from_numpy(input_ids).to(device)
        # Without padding there is nothing to mask.
        mask = None if shortest == longest else (tokens != self._pad).long()
        output = self._model(input_ids=tokens, attention_mask=mask)
        logits: NDArray[np.float32] = output.logits.float().cpu().numpy()
        return logits


def _weighted_mean(
    logits: NDArray[np.float64],
    owners: NDArray[np.int64],
    weights: NDArray[np.float64],
    texts: int,
) -> NDArray[np.float64]:
    total = np.bincount(owners, weights, texts)
    sums = [np.bincount(owners, weights * logits[:, label.id], texts) for label in LABELS]
    return np.stack(sums, axis=1) / total[:, None]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float64)
