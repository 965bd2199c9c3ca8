"""The logic of the GPU's engine, on the CPU, with the errors of a GPU put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import DeviceError
from sentiment.batching import plan_batches
from sentiment.engines.cuda import CudaEngine
from sentiment.engines.forward import Forward, library_forward, make_forward
from sentiment.engines.loading import load_model, load_tokenizer
from sentiment.engines.torch_cpu import TorchCpuEngine
from sentiment.windows import Windows, encode
from tests.tiny_version import TEXTS, build_tiny_version

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_version(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def windows(version: Path) -> Windows:
    texts = [f"{text} {place}" for place in range(10) for text in TEXTS]
    return encode(load_tokenizer(version), texts, 32)


@pytest.fixture(scope="module")
def forward(version: Path) -> Forward:
    return make_forward(load_model(version, padding_length=32, vocabulary=100))


@pytest.fixture(scope="module")
def expected(version: Path, windows: Windows) -> np.ndarray:
    """By the library's own forward pass, a window at a time."""
    model = load_model(version, padding_length=32, vocabulary=100)
    engine = TorchCpuEngine(library_forward(model), torch.float32)
    return engine.compute(windows, [np.array([row]) for row in range(len(windows))])


def _engine(forward: Forward) -> CudaEngine:
    return CudaEngine(forward, torch.float32, CPU, memory_fraction=0.5)


class _SmallGpu:
    """A forward pass that holds so many tokens at once, and no more."""

    def __init__(self, forward: Forward, most_tokens: int) -> None:
        self._forward = forward
        self._most_tokens = most_tokens
        self.refused: list[int] = []
        self.computed: list[tuple[int, bool]] = []

    def __call__(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        if ids.numel() > self._most_tokens:
            self.refused.append(ids.numel())
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.computed.append((ids.numel(), mask is not None))
        return self._forward(ids, mask)


def test_it_says_what_the_library_says(
    windows: Windows, forward: Forward, expected: np.ndarray
) -> None:
    calls: list[int] = []
    batches = plan_batches(windows.lengths, 200, 1_000)
    found = _engine(forward).compute(windows, batches, lambda: calls.append(1))
    assert np.abs(found - expected).max() < 1e-4
    assert len(calls) == len(batches)


class _NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for the GPU: to see a number, or how many there are."""

    WAITING = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket in self.WAITING:
            raise AssertionError(f"{func} waits for the GPU")
        return func(*args, **(kwargs or {}))


def test_the_host_waits_for_the_gpu_once_a_chunk(
    windows: Windows, forward: Forward, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = _SmallGpu(forward, 10**6)
    batches = plan_batches(windows.lengths, 100, 1_000)
    back, waited = Tensor.cpu, []

    def counted(tensor: Tensor, *arguments: Any) -> Tensor:
        waited.append(tensor.shape)
        return back(tensor, *arguments)

    monkeypatch.setattr(Tensor, "cpu", counted)
    with _NoWaiting():
        found = _engine(gpu).compute(windows, batches)
    assert np.abs(found - expected).max() < 1e-4
    assert len(gpu.computed) == len(batches) > 3
    assert {masked for _, masked in gpu.computed} == {True, False}
    assert waited == [(len(windows), 3)]


def test_nothing_is_masked_where_nothing_is_padded(windows: Windows, forward: Forward) -> None:
    gpu = _SmallGpu(forward, 10**6)
    alike = [np.flatnonzero(windows.lengths == length) for length in set(windows.lengths.tolist())]
    _engine(gpu).compute(windows, alike)
    assert not any(masked for _, masked in gpu.computed)


def test_a_batch_that_does_not_fit_is_halved_and_so_are_those_of_later_chunks(
    windows: Windows, forward: Forward, expected: np.ndarray
) -> None:
    gpu = _SmallGpu(forward, 150)
    engine = _engine(gpu)
    batches = plan_batches(windows.lengths, 500, 1_000)
    with structlog.testing.capture_logs() as logs:
        found = engine.compute(windows, batches)
        assert np.abs(found - expected).max() < 1e-4
        assert 0 < len(gpu.refused) <= 2  # 500, 250
        gpu.refused.clear()
        again = engine.compute(windows, batches)
    assert np.abs(again - expected).max() < 1e-4
    assert gpu.refused == []
    assert [entry["event"] for entry in logs] == ["gpu_memory_short"]
    # Not smaller than needed: as many tokens as half of what was too much.
    assert max(tokens for tokens, _ in gpu.computed) > 75


def test_a_single_text_that_does_not_fit_ends_the_process(
    windows: Windows, forward: Forward
) -> None:
    with pytest.raises(DeviceError, match="a single text is more"):
        _engine(_SmallGpu(forward, 5)).compute(windows, [np.arange(len(windows))])


@pytest.mark.parametrize("where", [(CudaEngine, "_send"), (torch, "cat")])
def test_memory_that_is_short_outside_the_forward_pass_is_no_texts_fault(
    windows: Windows, forward: Forward, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str]
) -> None:
    def full(*_arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(*where, full)
    with pytest.raises(DeviceError, match="memory is full: something else holds it"):
        _engine(forward).compute(windows, plan_batches(windows.lengths, 500, 100))


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    ],
)
def test_a_gpu_that_breaks_ends_the_process(windows: Windows, error: RuntimeError) -> None:
    def broken(_ids: Tensor, _mask: Tensor | None) -> Tensor:
        raise error

    with pytest.raises(DeviceError) as ended:
        _engine(broken).compute(windows, plan_batches(windows.lengths, 500, 100))
    assert ended.value.retryable


def test_a_defect_of_ours_is_no_defect_of_the_gpu(windows: Windows) -> None:
    def wrong(_ids: Tensor, _mask: Tensor | None) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        _engine(wrong).compute(windows, plan_batches(windows.lengths, 500, 100))


def test_what_on_batch_raises_is_passed_on(windows: Windows, forward: Forward) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        _engine(forward).compute(windows, plan_batches(windows.lengths, 100, 100), stop)


def test_no_window_is_no_logit(windows: Windows, forward: Forward) -> None:
    assert _engine(forward).compute(windows, []).shape == (len(windows), 3)
