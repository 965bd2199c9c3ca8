"""Which device a setting chooses, and what it can compute in.

`python -m sentiment.device NAME` describes it, for processes that must not load torch themselves.
"""

from __future__ import annotations

import sys

import torch

from core.errors import ModelError


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
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _gpu_names() -> list[str]:
    return [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]


def _describe(name: str) -> str:
    device = choose_device(name)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{device}, {kind}, {'bf16' if has_bf16(device) else 'fp32'}"


if __name__ == "__main__":
    try:
        sys.stdout.write(_describe(sys.argv[1] if len(sys.argv) > 1 else "auto") + "\n")
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
