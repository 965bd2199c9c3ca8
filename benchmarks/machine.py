"""What a measurement was taken on: processor, GPU, memory, versions, date. Loads none of them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "transformers", "tokenizers", "openvino", "nncf", "psycopg")
SPEEDS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")  # what matrices run on


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def facts() -> dict[str, object]:
    """The machine, as JSON takes it."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpu": _gpu(),
        "python": platform.python_version(),
        **{name: found for name in LIBRARIES if (found := _version(name))},
    }


def describe() -> str:
    """The machine in one line, for above a table."""
    known = facts()
    gpu = f", {known['gpu']}" if known["gpu"] else ""
    libraries = ", ".join(f"{name} {known[name]}" for name in LIBRARIES if name in known)
    return (
        f"{known['processor']}, {known['cores']} cores, {known['memory_gb']} GB{gpu};"
        f" Python {known['python']}, {libraries}; {known['date']}"
    )


def _processor() -> str:
    told: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())
    model = told.get("model name") or platform.machine()
    fast = [name for name in SPEEDS if name in told.get("flags", "").split()]
    return f"{model} ({' '.join(fast)})" if fast else model


def _gpu() -> str | None:
    # Not by torch: the parents of a benchmark's processes need not load it.
    if (command := shutil.which("nvidia-smi")) is None:
        return None
    asked = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)
    return "; ".join(done.stdout.split("\n")).strip("; ") or None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
