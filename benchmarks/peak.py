"""What a machine's matrix units reach at best, in a type: the bar that an engine is held to.

Large products of matrices by torch and, where it is installed, by OpenVINO; the best of several
sizes and of both counts, for which library is quicker depends on the processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch

from sentiment.engines.quiet import import_openvino

# Rows, inner and outer size. A model's own sizes are among them: no square need be the best.
CPU_SIZES = ((512, 768, 3_072), (1_024, 1_024, 1_024), (2_048, 2_048, 2_048))
GPU_SIZES = ((4_096, 4_096, 4_096), (8_192, 8_192, 8_192), (16_384, 768, 3_072))
CALL_S = 0.4  # of each size: enough for some hundred products
FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def make_peak(device: str, threads: int | None) -> Callable[[str], float]:
    """What measures a type's peak, in FLOP/s (of int8: operations), on the threads of a process.

    A multiplication and an addition are two operations, as they are for a model.
    """
    if threads is not None:
        torch.set_num_threads(threads)

    def peak(precision: str) -> float:
        with torch.inference_mode():
            if device != "cpu":
                return max(_best(*product, device) for product in _by_torch(precision, device))
            products = [*_by_torch(precision, device), *_by_openvino(precision, threads)]
            return max(_best(*product, device) for product in products)

    return peak


def _best(multiply: Callable[[], object], operations: float, device: str) -> float:
    cuda = device != "cpu"
    shortest = float("inf")
    multiply()
    end = time.perf_counter() + CALL_S
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        if cuda:
            torch.cuda.synchronize()
        shortest = min(shortest, time.perf_counter() - start)
    return operations / shortest


def _by_torch(precision: str, device: str) -> Iterator[tuple[Callable[[], object], float]]:
    for rows, inner, outer in CPU_SIZES if device == "cpu" else GPU_SIZES:
        a = torch.randint(-100, 100, (rows, inner), dtype=torch.int8, device=device)
        b = torch.randint(-100, 100, (outer, inner), dtype=torch.int8, device=device)
        multiply: Callable[[], object]
        if precision == "int8":
            multiply = partial(torch._int_mm, a, b.t())
        else:
            wanted = FLOATS[precision]
            multiply = partial(torch.matmul, a.to(wanted) / 100, b.to(wanted).t() / 100)
        yield multiply, 2.0 * rows * inner * outer


def _by_openvino(
    precision: str, threads: int | None
) -> Iterator[tuple[Callable[[], object], float]]:
    if find_spec("openvino") is None:
        return
    openvino = import_openvino()  # which sends no report of its use
    from openvino import opset13 as op  # noqa: PLC0415 - an extra

    core = openvino.Core()
    for rows, inner, outer in CPU_SIZES:
        given = op.parameter([rows, inner], np.float32)
        weights = op.constant(np.random.default_rng(0).normal(size=(outer, inner)).astype("f4"))
        if precision == "int8":
            # What the engine's int8 models are made of: the plugin turns it into integers.
            left = op.fake_quantize(given, *(np.float32(x) for x in (0, 2.55, 0, 2.55)), 256)
            bounds = (np.float32(x) for x in (-4, 3.96875, -4, 3.96875))
            product = op.matmul(left, op.fake_quantize(weights, *bounds, 256), False, True)
        else:
            product = op.matmul(given, weights, False, True)
        hint = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}[precision]
        settings = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": 1}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = core.compile_model(openvino.Model([product], [given]), "CPU", settings)
        request = compiled.create_infer_request()
        request.set_input_tensor(
            openvino.Tensor(np.random.default_rng(1).random((rows, inner), np.float32))
        )
        yield request.infer, 2.0 * rows * inner * outer
