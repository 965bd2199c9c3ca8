"""Which engine and precision a device gets: the rules, pure.

`auto` never takes int8: it may change one label in a hundred, and a version's labels must not
depend on which worker took a chunk. It takes OpenVINO only by name: where `nifos tune` found it
faster, the worker names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ModelError

TORCH, OPENVINO = "torch", "openvino"
ENGINES = ("auto", TORCH, OPENVINO)
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
EXTRA_ADVICE = "in the program's folder, pip install '.[cpu]'"


@dataclass(frozen=True)
class Machine:
    """What a device can do, as far as the choice depends on it."""

    device: str
    """`cpu` or `cuda:N`."""
    bf16: bool
    """Whether it is fast in bf16: a GPU from Ampere on, a CPU with the instructions."""
    openvino: bool
    """Whether the extra `cpu` is installed."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.device.startswith("cuda")


@dataclass(frozen=True)
class Choice:
    """An engine and a precision, and why these."""

    engine: str
    precision: str
    why: str


def choose(machine: Machine, engine: str = "auto", precision: str = "auto") -> list[Choice]:
    """What is to be used, best first: what comes later is for when the earlier disagrees with fp32.

    One asked for by precision has nothing behind it.

    Raises:
        ModelError: the device cannot do it, or the extra is not installed; it says what to do.
    """
    if engine not in ENGINES or precision not in PRECISIONS:
        raise ModelError(f"no engine {engine} in {precision}")
    engine = _settle_engine(machine, engine, precision)
    if precision != "auto":
        _refuse_impossible(machine, engine, precision)
        return [Choice(engine, precision, "asked for")]
    full = Choice(engine, "fp32", f"{_name(machine)} without bf16")
    if machine.bf16:
        half = Choice(engine, "bf16", f"{_name(machine)} computes bf16 itself")
        return [half, Choice(engine, "fp32", "exact")]
    if machine.is_gpu:
        half = Choice(engine, "fp16", f"{_name(machine)} before Ampere: no bf16")
        return [half, Choice(engine, "fp32", "exact")]
    return [full]


def _settle_engine(machine: Machine, engine: str, precision: str) -> str:
    if precision == "int8" and engine == "auto" and not machine.is_gpu:
        engine = OPENVINO
    if engine != OPENVINO:
        return TORCH
    if machine.is_gpu:
        raise ModelError(f"OpenVINO computes on CPUs only, not on {machine.device}")
    if not machine.openvino:
        what = "int8 on a CPU" if precision == "int8" else "the engine openvino"
        raise ModelError(f"{what} needs OpenVINO: {EXTRA_ADVICE}")
    return OPENVINO


def _refuse_impossible(machine: Machine, engine: str, precision: str) -> None:
    if precision == "int8" and engine == TORCH:
        raise ModelError(f"NIFOS_PRECISION=int8 is for CPUs with OpenVINO, not for {_by(machine)}")
    if precision == "fp16" and not machine.is_gpu:
        raise ModelError("NIFOS_PRECISION=fp16 is for GPUs: a CPU has fp32, int8 and perhaps bf16")
    if precision == "bf16" and not machine.bf16:
        instead = "fp16" if machine.is_gpu else "fp32"
        raise ModelError(
            f"NIFOS_PRECISION=bf16: {_name(machine)} has no fast bf16; set auto or {instead}"
        )


def _name(machine: Machine) -> str:
    return machine.device if machine.is_gpu else "this CPU"


def _by(machine: Machine) -> str:
    return machine.device if machine.is_gpu else "torch"
