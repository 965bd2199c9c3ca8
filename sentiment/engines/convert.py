"""Make OpenVINO's form of a version: `python -m sentiment.engines.convert VERSION TARGET FORM`.

In a process of its own: NNCF takes over logging, draws bars on stdout and needs gigabytes, none of
which a worker is to keep. It ends when its parent does.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ElectraForSequenceClassification

from core.errors import NifosError
from sentiment.batching import plan_batches
from sentiment.engines.agreement import check_texts
from sentiment.engines.conversion import INT8, MODEL_XML
from sentiment.engines.forward import Forward, library_forward, padding_mask
from sentiment.engines.lean import LeanElectra, is_plain
from sentiment.engines.loading import load_model, load_tokenizer
from sentiment.engines.quiet import import_nncf, import_openvino
from sentiment.store import verify
from sentiment.text import prepare
from sentiment.windows import Windows, encode

CALIBRATION_TOKENS = 512  # of a batch


class _Traced(nn.Module):
    """Ids in, logits out: what is padded is seen from the ids."""

    def __init__(self, model: ElectraForSequenceClassification, pad: int) -> None:
        super().__init__()
        lean = is_plain(model)
        self._forward: Forward = (
            LeanElectra(model, packed=False, fused=False) if lean else library_forward(model)
        )
        self._pad = pad

    def forward(self, ids: Tensor) -> Tensor:
        return self._forward(ids, padding_mask(ids, self._pad, torch.float32))


def convert(version: Path, target: Path, form: str) -> None:
    """Write `model.xml` and `model.bin` into a directory that exists.

    Args:
        version: its directory.
        target: where to.
        form: `full` for fp32 and bf16, which share their weights, or `int8`.
    """
    openvino = import_openvino()
    manifest = verify(version)
    tokenizer = load_tokenizer(version)
    model = load_model(
        version, padding_length=manifest.padding_length, vocabulary=tokenizer.get_vocab_size()
    )
    windows = encode(tokenizer, [prepare(text) for text in check_texts()], manifest.padding_length)
    batches = plan_batches(windows.widths, CALIBRATION_TOKENS, len(windows))
    example = torch.from_numpy(windows.padded(batches[-1]))
    with torch.inference_mode():
        made = openvino.convert_model(
            _Traced(model, windows.pad).eval(),
            example_input=example,
            input=[("ids", [-1, -1], openvino.Type.i32)],
        )
    del model
    if form == INT8:
        made = _quantize(made, windows, batches)
    # fp16 weights would be halves of another kind than the bf16 that is computed in.
    openvino.save_model(made, target / MODEL_XML, compress_to_fp16=False)


def _quantize(made: Any, windows: Windows, batches: list[Any]) -> Any:
    nncf = import_nncf()
    data = nncf.Dataset([windows.padded(rows) for rows in batches])
    return nncf.quantize(
        made, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches)
    )


def _end_with_parent() -> None:
    # Nobody writes: it ends when the parent does. Not `sys.stdin`: Python wants its lock at exit.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    except NifosError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
