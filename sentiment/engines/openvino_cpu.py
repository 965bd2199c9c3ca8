"""The OpenVINO engine: fp32, bf16 or int8 on a CPU. It knows nothing of how its file came to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from sentiment.engines.batch_by_batch import BatchByBatch
from sentiment.engines.quiet import import_openvino
from sentiment.windows import Windows

# What is not in eight bits is computed in bf16 where the CPU has it.
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}


class OpenVinoEngine(BatchByBatch):
    """A converted version, compiled for this CPU.

    Args:
        model: `model.xml`, its weights beside it.
        precision: `fp32`, `bf16` or `int8`.
        bf16: whether this CPU computes bf16.
        threads: of the computation; None: OpenVINO's own choice.

    Raises:
        ModelError: OpenVINO cannot read it.
    """

    def __init__(self, model: Path, precision: str, *, bf16: bool, threads: int | None) -> None:
        openvino = import_openvino()
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Else every process of a worker would settle on the same cores.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": HINTS[precision] if bf16 else "f32",
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = openvino.Core().compile_model(str(model), "CPU", config)
        except RuntimeError as error:
            name = type(error).__name__
            raise ModelError(f"{model}: OpenVINO cannot compile it ({name})") from error
        self._request = compiled.create_infer_request()

    def _batch(self, windows: Windows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        answer = self._request.infer([windows.padded(rows)], share_inputs=True)
        return np.asarray(answer[0], np.float32)
