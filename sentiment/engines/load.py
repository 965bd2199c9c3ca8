"""From a version's directory to an engine that agrees with fp32, or to why there is none."""

from __future__ import annotations

import hashlib
import platform
import re
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import structlog
import torch
from tokenizers import Tokenizer
from transformers import ElectraForSequenceClassification

from core.errors import ModelError
from sentiment.device import describe_machine, has_bf16
from sentiment.engines.agreement import (
    Agreement,
    Probabilities,
    answers,
    check_texts,
    check_texts_mark,
    measure,
    what_is_wrong,
)
from sentiment.engines.choice import OPENVINO, TORCH, Choice, choose
from sentiment.engines.conversion import INT8, MODEL_XML, convert_aside
from sentiment.engines.cuda import CudaEngine, gpu_errors
from sentiment.engines.engine import Engine, EngineFacts
from sentiment.engines.forward import library_forward, make_forward
from sentiment.engines.kept import Kept
from sentiment.engines.loading import load_model
from sentiment.engines.openvino_cpu import OpenVinoEngine
from sentiment.engines.torch_cpu import TorchCpuEngine
from sentiment.manifest import Manifest
from sentiment.text import prepare
from sentiment.windows import Windows, encode

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FORMS = {"fp32": "full", "bf16": "full", "int8": "int8"}  # that OpenVINO keeps, by precision
# What an engine's numbers are made by: after a change of these, nothing that is kept stands for it.
NUMBERS_FROM = ("lean.py", "forward.py", "convert.py", "torch_cpu.py", "openvino_cpu.py", "cuda.py")
REFERENCE_TOKENS = 1_024  # of a batch in fp32


@dataclass(frozen=True)
class Plan:
    """How an engine is to be computed."""

    device: torch.device
    engine: str
    precision: str
    batch_tokens: int
    threads: int | None
    gpu_memory_fraction: float


class EngineLoader:
    """Loads the engine of one version.

    Args:
        directory: of the version, verified.
        manifest: of it.
        tokenizer: of it.
        plan: what is asked for.
        cache: where converted engines and outcomes of the check are kept; None: nowhere.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        tokenizer: Tokenizer,
        plan: Plan,
        cache: Path | None,
    ) -> None:
        self._directory = directory
        self._manifest = manifest
        self._tokenizer = tokenizer
        self._plan = plan
        self._kept = Kept(cache, manifest) if cache is not None else None

    def load(self) -> tuple[Engine, EngineFacts]:
        """The best engine that agrees with fp32 on the check texts.

        Raises:
            ModelError: the one that was asked for disagrees, or cannot be had on this machine.
            StoreError: a converted engine cannot be kept.
            DeviceError: a GPU broke, or its memory does not hold the version.
        """
        with gpu_errors():  # the first touch of a GPU is here, not in the engine
            return self._load()

    def _load(self) -> tuple[Engine, EngineFacts]:
        plan = self._plan
        refused: list[str] = []
        for choice in choose(describe_machine(plan.device), plan.engine, plan.precision):
            engine = self._build(choice)
            wrong = self._what_is_wrong(choice, engine)
            if wrong is None:
                why = "; ".join([choice.why, *refused])
                return engine, EngineFacts(choice.engine, choice.precision, str(plan.device), why)
            refused.append(f"{choice.engine} in {choice.precision} disagrees with fp32: {wrong}")
            log.warning("engine_refused", version=self._manifest.name, why=refused[-1])
        raise ModelError(f"{self._directory}: {refused[-1]}. NIFOS_PRECISION=auto takes another")

    def _build(self, choice: Choice) -> Engine:
        if choice.engine == OPENVINO:
            return self._build_openvino(choice.precision)
        plan, dtype = self._plan, DTYPES[choice.precision]
        model: Any = self._load_fp32()  # whose `to` is typed for fewer arguments than it takes
        forward = make_forward(model.to(plan.device, dtype))
        if plan.device.type == "cuda":
            fraction = plan.gpu_memory_fraction
            return CudaEngine(forward, dtype, plan.device, memory_fraction=fraction)
        return TorchCpuEngine(forward, dtype)

    def _build_openvino(self, precision: str) -> Engine:
        form = FORMS[precision]
        libraries = f"openvino-{installed('openvino')}-{_code_mark()}"
        if form == INT8:
            libraries += f"-nncf-{installed('nncf')}-{check_texts_mark()}"
        with ExitStack() as stack:
            kept = self._kept
            if kept is None:  # OpenVINO has what it needs once it has compiled
                aside = stack.enter_context(tempfile.TemporaryDirectory())
                kept = Kept(Path(aside), self._manifest)
            folder = kept.form(f"{form}-{libraries}", partial(self._convert, form))
            return OpenVinoEngine(
                folder / MODEL_XML,
                precision,
                bf16=has_bf16(self._plan.device),
                threads=self._plan.threads,
            )

    def _convert(self, form: str, target: Path) -> None:
        log.info("engine_converting", version=self._manifest.name, form=form)
        convert_aside(self._directory, target, form)

    def _what_is_wrong(self, choice: Choice, engine: Engine) -> str | None:
        if (choice.engine, choice.precision) == (TORCH, "fp32"):
            return None  # as the version was trained and judged
        found = self._agreement(choice, engine)
        return what_is_wrong(found, self._manifest.tolerance(choice.precision))

    def _agreement(self, choice: Choice, engine: Engine) -> Agreement:
        def compare() -> Agreement:
            return measure(self._exact, answers(engine, self._windows, self._plan.batch_tokens))

        if self._kept is None:
            return compare()
        library = installed(choice.engine)
        asked = (choice.precision, check_texts_mark(), _code_mark())
        parts = (choice.engine, library, *asked, self._hardware)
        return self._kept.outcome("agreement-" + "-".join(parts), compare)

    @property
    def _hardware(self) -> str:
        """What other than the library decides how a number is rounded."""
        if self._plan.device.type == "cuda":
            return re.sub(r"\W+", "_", torch.cuda.get_device_name(self._plan.device))
        return f"{platform.machine()}_{torch.backends.cpu.get_cpu_capability()}"

    @cached_property
    def _windows(self) -> Windows:
        prepared = [prepare(text) for text in check_texts()]
        return encode(self._tokenizer, prepared, self._manifest.padding_length)

    @cached_property
    def _exact(self) -> Probabilities:
        # Of a model of its own: it is asked for once for a version and a library, then kept.
        engine = TorchCpuEngine(library_forward(self._load_fp32()), torch.float32)
        return answers(engine, self._windows, REFERENCE_TOKENS)

    def _load_fp32(self) -> ElectraForSequenceClassification:
        return load_model(
            self._directory,
            padding_length=self._manifest.padding_length,
            vocabulary=self._tokenizer.get_vocab_size(),
        )


@cache
def _code_mark() -> str:
    """A short name for this release's way to compute, and the library's that it is measured by."""
    code = b"".join(Path(__file__).with_name(name).read_bytes() for name in NUMBERS_FROM)
    return hashlib.sha256(code + installed("transformers").encode()).hexdigest()[:8]
