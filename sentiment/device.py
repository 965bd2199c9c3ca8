"""Which device a setting chooses, and what it can compute in.

`python -m sentiment.device NAME PRECISION ENGINE [VERSION CACHE [WHY]]` describes it and what would
be computed with, for processes that must not load torch themselves: by the rule, or for a version's
directory by what is kept of its check.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from core.errors import ModelError
from sentiment.engines.choice import Machine, choose
from sentiment.engines.foreseen import foresee

AMPERE = 8  # compute capability: the first with bf16


def choose_device(name: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda:N` or part of a GPU's name.

    Raises:
        ModelError: that GPU is not there; the message names those that are.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    found = _gpu_names()
    if name == "auto":
        return torch.device("cuda", 0)
    kind, _, number = name.partition(":")
    if kind == "cuda":
        place = int(number) if number.isdigit() else 0
        if place < len(found) and (number.isdigit() or not number):
            return torch.device("cuda", place)
    else:
        for place, gpu in enumerate(found):
            if name.lower() in gpu.lower():
                return torch.device("cuda", place)
    there = ", ".join(found) if found else "no GPU is there"
    raise ModelError(f"NIFOS_DEVICE={name}: no such GPU ({there})")


def has_bf16(device: torch.device) -> bool:
    """Tell whether bfloat16 is fast there: a GPU from Ampere on, a CPU with its instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= AMPERE
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe_machine(device: torch.device) -> Machine:
    """What the choice of an engine depends on."""
    extra = all(find_spec(name) is not None for name in ("openvino", "nncf"))
    return Machine(str(device), has_bf16(device), extra)


def _gpu_names() -> list[str]:
    return [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]


def describe(
    name: str,
    precision: str = "auto",
    engine: str = "auto",
    version: str | None = None,
    cache: str = "",
    why: str | None = None,
) -> str:
    """In one line: the device, what it computes with, and why.

    Args:
        name: of the device, as `choose_device` reads it.
        precision: as set.
        engine: as set.
        version: a directory; None: what the rule takes first, whatever the version.
        cache: with a version: where outcomes of its check are kept.
        why: with a version: as `foresee` takes it.

    Raises:
        ModelError: there is no such device, or it does not compute so.
    """
    device = choose_device(name)
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    machine = describe_machine(device)
    if version is None:
        first, rule = choose(machine, engine, precision)[0], "by rule "
    else:
        first, rule = foresee(Path(version), Path(cache), machine, engine, precision, why), ""
    return f"{device}{gpu}, {rule}{first.engine} in {first.precision} ({first.why})"


if __name__ == "__main__":
    try:
        sys.stdout.write(describe(*(sys.argv[1:] or ["auto"])) + "\n")
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
