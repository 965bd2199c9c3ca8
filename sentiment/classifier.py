"""A version in memory: texts in, labels and probabilities out, in the order of the texts.

It knows nothing of documents, chunks or databases, and nothing of how an engine computes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sentiment.batching import plan_batches
from sentiment.device import choose_device
from sentiment.engines.budgets import batch_budget
from sentiment.engines.engine import Engine, EngineFacts
from sentiment.engines.load import EngineLoader, Plan
from sentiment.engines.loading import load_tokenizer
from sentiment.labels import LABELS
from sentiment.probabilities import text_probabilities
from sentiment.store import verify
from sentiment.text import prepare
from sentiment.windows import encode

MAX_BATCH_ROWS = (
    16_384  # no batch of one-word texts is to be larger in rows than a chunk in windows
)
# Of the GPU's memory, for one process: two share it, and the driver takes some.
GPU_MEMORY_FRACTION = 0.45

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Work:
    """What a prediction took."""

    texts: int
    """Distinct ones, once prepared: what was computed."""
    windows: int
    tokens: int
    """[CLS] and [SEP] of each window included."""
    padded_tokens: int
    """Tokens and padding: what was computed."""
    prepare_s: float
    tokenize_s: float
    compute_s: float


NO_WORK = Work(0, 0, 0, 0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Predictions:
    """Columns of equal length, a row for each text.

    label_ids: int8 [texts]. probabilities: float32 [texts, 3], summing to 1. windowed: bool
    [texts], whether a text was longer than the padding length and read in windows.
    """

    label_ids: NDArray[np.int8]
    probabilities: NDArray[np.float32]
    windowed: NDArray[np.bool_]
    work: Work = NO_WORK

    def __len__(self) -> int:
        return len(self.label_ids)


class Classifier:
    """One version, loaded and checked. Make it by `load`.

    The same text gets the same label whatever stands beside it, up to the rounding of bf16: a
    probability may differ in the third place with the shape of the batch.
    """

    def __init__(
        self,
        engine: Engine,
        facts: EngineFacts,
        tokenizer: Tokenizer,
        *,
        padding_length: int,
        temperature: float,
        batch_tokens: int,
    ) -> None:
        self.facts = facts
        self.batch_tokens = batch_tokens
        self._few_shapes = facts.device == "cpu"  # a GPU would wait for the launches of small ones
        self._engine = engine
        self._tokenizer = tokenizer
        self._padding_length = padding_length
        self._temperature = temperature

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
        batch_tokens: int | None = None,
        threads: int | None = None,
        cache: Path | None = None,
        gpu_memory_fraction: float = GPU_MEMORY_FRACTION,
        why: str | None = None,
    ) -> Classifier:
        """Load a version from its directory.

        Args:
            directory: of the version; its checksums are verified.
            device: `auto`, `cpu`, `cuda:N` or part of a GPU's name.
            precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`; see `sentiment.engines.choice`.
            engine: `auto`, `torch` or `openvino`.
            batch_tokens: padded tokens of one batch; None: what was measured for such a model.
            threads: of this process on a CPU, computing and tokenizing; None: the libraries' own
                choice. With a GPU the tokenizer keeps all cores, or the GPU would wait for it.
            cache: where converted engines and outcomes of the check are kept; None: nowhere, then
                they are made at every load.
            gpu_memory_fraction: of a GPU's memory that this process may take.
            why: of an engine and a precision that were named by something else than a person.

        Raises:
            ModelError: damaged, of other labels or text rules, a tokenizer that does not read
                Hangul, no such device, an engine that cannot be had or disagrees with fp32.
            StoreError: the cache's disk refuses.
            DeviceError: a GPU broke.
        """
        manifest = verify(directory)
        chosen = choose_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
            if chosen.type == "cpu":
                # The tokenizer's only switch, read when it first takes many texts: by default it
                # starts a thread a core in every child.
                os.environ["RAYON_NUM_THREADS"] = str(threads)
        tokenizer = load_tokenizer(directory)
        tokens = batch_tokens or batch_budget(directory, chosen.type)
        plan = Plan(chosen, engine, precision, tokens, threads, gpu_memory_fraction)
        loaded, facts = EngineLoader(directory, manifest, tokenizer, plan, cache).load()
        if why is not None:
            facts = replace(facts, why=why)
        log.info("engine_chosen", version=manifest.name, batch_tokens=tokens, **facts.__dict__)
        return cls(
            loaded,
            facts,
            tokenizer,
            padding_length=manifest.padding_length,
            temperature=manifest.temperature,
            batch_tokens=tokens,
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
        start = time.perf_counter()
        place_of: dict[str, int] = {}
        places = np.array([place_of.setdefault(prepare(text), len(place_of)) for text in texts])
        prepared_at = time.perf_counter()
        windows = encode(self._tokenizer, list(place_of), self._padding_length)
        batches = plan_batches(
            *(windows.widths, self.batch_tokens, MAX_BATCH_ROWS), few_shapes=self._few_shapes
        )
        tokenized_at = time.perf_counter()
        logits = self._engine.compute(windows, batches, on_batch)
        distinct = text_probabilities(logits, windows, len(place_of), self._temperature)
        windowed = np.bincount(windows.owners, minlength=len(place_of)) > 1
        work = Work(
            texts=len(place_of),
            windows=len(windows),
            tokens=int(windows.lengths.sum()),
            padded_tokens=sum(len(rows) * int(windows.widths[rows[0]]) for rows in batches),
            prepare_s=prepared_at - start,
            tokenize_s=tokenized_at - prepared_at,
            compute_s=time.perf_counter() - tokenized_at,
        )
        return Predictions(
            distinct.argmax(axis=1).astype(np.int8)[places],
            distinct.astype(np.float32)[places],
            windowed[places],
            work,
        )
