"""Which engine and precision a machine gets."""

from __future__ import annotations

import pytest

from core.errors import ModelError
from sentiment.engines.choice import EXTRA_ADVICE, Machine, choose

NEW_CPU = Machine("cpu", bf16=True, openvino=True)
OLD_CPU = Machine("cpu", bf16=False, openvino=True)
BARE_CPU = Machine("cpu", bf16=True, openvino=False)
AMPERE = Machine("cuda:0", bf16=True, openvino=True)
TURING = Machine("cuda:0", bf16=False, openvino=True)


@pytest.mark.parametrize(
    ("machine", "engine", "precision", "expected"),
    [
        (NEW_CPU, "auto", "auto", [("torch", "bf16"), ("torch", "fp32")]),
        (OLD_CPU, "auto", "auto", [("torch", "fp32")]),
        (AMPERE, "auto", "auto", [("torch", "bf16"), ("torch", "fp32")]),
        (TURING, "auto", "auto", [("torch", "fp16"), ("torch", "fp32")]),
        (NEW_CPU, "openvino", "auto", [("openvino", "bf16"), ("openvino", "fp32")]),
        (OLD_CPU, "openvino", "auto", [("openvino", "fp32")]),
        (OLD_CPU, "auto", "int8", [("openvino", "int8")]),
        (NEW_CPU, "auto", "fp32", [("torch", "fp32")]),
        (AMPERE, "auto", "fp16", [("torch", "fp16")]),
    ],
)
def test_what_is_chosen(
    machine: Machine, engine: str, precision: str, expected: list[tuple[str, str]]
) -> None:
    found = choose(machine, engine, precision)
    assert [(choice.engine, choice.precision) for choice in found] == expected
    assert all(choice.why for choice in found)


@pytest.mark.parametrize(
    ("machine", "engine", "precision", "words"),
    [
        (BARE_CPU, "auto", "int8", EXTRA_ADVICE),
        (BARE_CPU, "openvino", "auto", EXTRA_ADVICE),
        (AMPERE, "openvino", "auto", "CPUs only"),
        (AMPERE, "auto", "int8", "not for cuda:0"),
        (NEW_CPU, "torch", "int8", "OpenVINO"),
        (NEW_CPU, "auto", "fp16", "for GPUs"),
        (OLD_CPU, "auto", "bf16", "auto or fp32"),
        (TURING, "auto", "bf16", "auto or fp16"),
        (NEW_CPU, "jax", "auto", "no engine jax"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_to_do(
    machine: Machine, engine: str, precision: str, words: str
) -> None:
    with pytest.raises(ModelError) as refused:
        choose(machine, engine, precision)
    assert words in str(refused.value)


def test_int8_is_never_chosen_by_auto() -> None:
    machines = (NEW_CPU, OLD_CPU, AMPERE, TURING)
    found = [choice for machine in machines for choice in choose(machine)]
    assert "int8" not in {choice.precision for choice in found}
