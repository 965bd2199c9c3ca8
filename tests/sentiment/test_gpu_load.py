"""How a version comes onto a GPU: torch's calls are caught, and what they move stays here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import DeviceError
from sentiment.classifier import Classifier
from sentiment.engines.budgets import batch_budget
from tests.tiny_version import TEXTS, build_tiny_version

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
BROKEN = torch.AcceleratorError("CUDA error: device-side assert triggered", 710)
FULL = torch.OutOfMemoryError("CUDA out of memory")


class FakeGpu:
    """A GPU `cuda:0` that torch believes in; its memory is the CPU's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.capability = (8, 6)
        self.refuses: Exception | None = None
        self.fractions: list[tuple[float, torch.device]] = []
        self.pinned: list[int] = []  # tokens of each buffer that the GPU reads itself
        self.sent: list[tuple[int, bool]] = []  # ids of a chunk, and whether nobody waited
        self._to, self._empty = Tensor.to, torch.empty
        for name, call in (
            ("device_count", lambda: 1),
            ("get_device_name", lambda *_a: "NVIDIA RTX A4000"),
            ("get_device_capability", lambda *_a: self.capability),
            ("set_per_process_memory_fraction", lambda *a: self.fractions.append(a)),
        ):
            monkeypatch.setattr(torch.cuda, name, call)

        def to(tensor: Tensor, *where: Any, **how: Any) -> Tensor:
            return self._move(tensor, *where, **how)

        monkeypatch.setattr(torch, "empty", self._empty_pinned)
        monkeypatch.setattr(Tensor, "to", to)  # which a module moves its parameters by, too

    def _move(self, tensor: Tensor, *where: Any, **how: Any) -> Tensor:
        if GPU not in where:
            return self._to(tensor, *where, **how)
        if self.refuses is not None:
            raise self.refuses
        if tensor.dtype == torch.int32:
            self.sent.append((tensor.numel(), bool(how.get("non_blocking"))))
        return self._to(tensor, *(CPU if one == GPU else one for one in where), **how)

    def _empty_pinned(self, *size: Any, pin_memory: bool = False, **how: Any) -> Tensor:
        if pin_memory:
            self.pinned.append(*size)
        return self._empty(*size, **how)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    return FakeGpu(monkeypatch)


@pytest.mark.parametrize(("capability", "precision"), [((8, 6), "bf16"), ((7, 5), "fp16")])
def test_a_version_labels_on_a_gpu_in_the_precision_that_it_is_fast_in(
    gpu: FakeGpu, version: Path, capability: tuple[int, int], precision: str
) -> None:
    gpu.capability = capability
    found = Classifier.load(version, device="cuda:0")
    exact = Classifier.load(version, device="cpu", precision="fp32")
    assert (found.facts.engine, found.facts.precision) == ("torch", precision)
    assert found.facts.device == "cuda:0"
    assert found.batch_tokens == batch_budget(version, "cuda")
    off = found.predict(TEXTS).probabilities - exact.predict(TEXTS).probabilities
    assert np.abs(off).max() < 0.05


def test_a_process_takes_its_share_of_the_gpu_and_no_more(gpu: FakeGpu, version: Path) -> None:
    Classifier.load(version, device="cuda:0", gpu_memory_fraction=0.3)
    assert gpu.fractions == [(0.3, GPU)]


def test_a_chunk_goes_over_in_one_copy_that_nobody_waits_for(gpu: FakeGpu, version: Path) -> None:
    classifier = Classifier.load(version, device="cuda:0", batch_tokens=64)
    # The check texts went over. Their buffer is pinned, and large enough for what comes next.
    (checked,) = gpu.sent
    assert gpu.pinned == [checked[0]]
    work = classifier.predict([f"{text} {place}" for place in range(9) for text in TEXTS]).work
    assert work.padded_tokens > 4 * 64
    assert gpu.sent == [checked, (work.padded_tokens, True)]
    assert gpu.pinned == [checked[0]]


@pytest.mark.parametrize(("width", "tokens"), [(768, 512), (256, 1_024)])
def test_how_many_tokens_a_batch_has(tmp_path: Path, width: int, tokens: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": width}))
    assert batch_budget(tmp_path, "cpu") == tokens
    assert 16_384 <= batch_budget(tmp_path, "cuda") <= 65_536


def _raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_arguments: object, **_keywords: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ("get_device_capability", RuntimeError("CUDA unknown error"), "the GPU failed"),
        ("set_per_process_memory_fraction", BROKEN, "the GPU failed"),
        ("set_per_process_memory_fraction", FULL, "memory is full"),
    ],
)
def test_a_gpu_that_fails_before_the_first_text_ends_the_process(
    gpu: FakeGpu,
    version: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: Exception,
    says: str,
) -> None:
    monkeypatch.setattr(torch.cuda, call, _raising(error))
    with pytest.raises(DeviceError, match=says):
        Classifier.load(version, device="cuda:0")


@pytest.mark.parametrize(("error", "says"), [(BROKEN, "the GPU failed"), (FULL, "memory is full")])
def test_a_gpu_that_does_not_take_the_weights_ends_the_process(
    gpu: FakeGpu, version: Path, error: Exception, says: str
) -> None:
    gpu.refuses = error
    with pytest.raises(DeviceError, match=says):
        Classifier.load(version, device="cuda:0")
