"""What `nifos tune` found on this hardware, kept in `tuning.json` of the home directory.

It holds results and how they are used; it measures nothing and loads no tensor library.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TUNING = "tuning.json"
FORMAT = 1
TUNED = "tuned"  # why a version is computed so: nobody asked for it, it was found
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")
CPU_FACTS = Path("/proc/cpuinfo")

ENGINES = ("torch", "openvino")
SAFE_PRECISIONS = ("fp32", "bf16", "fp16")  # int8 may change one label in a hundred
PRECISIONS = (*SAFE_PRECISIONS, "int8")
LEAST_BATCH_TOKENS, MAX_PROCESSES = 16, 64  # as in the settings


@dataclass(frozen=True)
class Tuning:
    """The fastest way to compute one version here.

    batch_tokens: padded tokens of a batch. processes: children of one worker, which share the cores
    as threads. documents_per_s: of all of them together, the model alone. measured_at: ISO 8601.
    """

    engine: str
    precision: str
    batch_tokens: int
    processes: int
    documents_per_s: float
    measured_at: str


@dataclass(frozen=True)
class Plan:
    """How a worker loads a version: arguments of `Classifier.load`, and where they come from."""

    engine: str
    precision: str
    batch_tokens: int | None
    threads: int
    tuned: bool


def plan(
    tuning: Tuning | None,
    *,
    precision: str = "auto",
    batch_tokens: int | None = None,
    processes: int | None = None,
    cores: int | None = None,
) -> Plan:
    """Join what was found with what the environment says, which goes first. Pure.

    Args:
        tuning: of this hardware and version, if there is one.
        precision: as set. What was found in another one is of no use then; and int8 is used by
            nobody who did not ask for it.
        batch_tokens: as set.
        processes: children of this worker.
        cores: that they share; those of this process unless given.
    """
    usable = tuning is not None and (
        tuning.precision == precision
        or (precision == "auto" and tuning.precision in SAFE_PRECISIONS)
    )
    if tuning is None or not usable:
        return Plan("auto", precision, batch_tokens, 1, False)
    shared = (cores or count_cores()) // tuning.processes if processes == tuning.processes else 1
    return Plan(
        tuning.engine,
        tuning.precision,
        batch_tokens or tuning.batch_tokens,
        max(1, shared),
        True,
    )


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def this_hardware(device: str = "auto") -> str:
    """What speed depends on, and no more: a reboot or a new container changes nothing.

    Args:
        device: as set. On a GPU its name counts too; `cpu` leaves GPUs out.
    """
    processor = f"{_processor()}, {count_cores()} cores"
    if device == "cpu":
        return processor
    gpus = sorted(_read_fact(path / "information", "Model") for path in _gpu_entries())
    if not gpus:
        return processor
    chosen = "" if device == "auto" else f", {device}"
    return f"{processor}, {' + '.join(gpus)}{chosen}"


def read_tuning(home: Path, version: str, *, device: str = "auto") -> Tuning | None:
    """What was found for a version on this hardware. None: never tuned.

    A file that is damaged is as good as none, with a warning in the log.
    """
    found = _read(home / TUNING).get(this_hardware(device), {})
    if version not in found:
        return None
    try:
        return _checked(Tuning(**found[version]))
    except (TypeError, ValueError):
        log.warning("tuning_ignored", file=str(home / TUNING), version=version)
        return None


def write_tuning(home: Path, version: str, tuning: Tuning, *, device: str = "auto") -> Path:
    """Keep what was found, beside what the file holds of other versions and hardware.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    path = home / TUNING
    machines = _read(path)
    machines.setdefault(this_hardware(device), {})[version] = asdict(tuning)
    home.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{TUNING}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as stream:
        json.dump({"format": FORMAT, "machines": machines}, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
    return path


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        held = json.loads(path.read_bytes())
        machines = held["machines"] if held["format"] == FORMAT else None
        if isinstance(machines, dict) and all(isinstance(m, dict) for m in machines.values()):
            return machines
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    log.warning("tuning_file_damaged", file=str(path), advice="`nifos tune` writes it anew")
    return {}


def _checked(tuning: Tuning) -> Tuning:
    """Refuse what no `tune` writes.

    Raises:
        ValueError: a value is none that a worker could use.
        TypeError: it is of another kind.
    """
    known = tuning.engine in ENGINES and tuning.precision in PRECISIONS
    bounded = tuning.batch_tokens >= LEAST_BATCH_TOKENS and 1 <= tuning.processes <= MAX_PROCESSES
    if not (known and bounded):
        raise ValueError
    return tuning


def _processor() -> str:
    return _read_fact(CPU_FACTS, "model name") or platform.machine()


def _gpu_entries() -> list[Path]:
    try:
        return list(NVIDIA_GPUS.iterdir())
    except OSError:
        return []


def _read_fact(path: Path, name: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return " ".join(value.split())
    return ""
