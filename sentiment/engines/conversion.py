"""Have a version converted for OpenVINO by a process of its own. No torch here."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.errors import ModelError, NifosError, StoreError

MODEL_XML = "model.xml"  # OpenVINO puts the weights beside it, as model.bin
FULL, INT8 = "full", "int8"
FP32_BYTES = 4  # a value
TIMEOUT_S = 1_200  # a base model takes a minute on an idle core; a task and a child have 1,800
# From outside, as the kernel does where memory runs out. Of a fault of its own it ends otherwise.
KILLED = (-signal.SIGKILL, -signal.SIGTERM)
NO_MEMORY = ("MemoryError", "bad_alloc", "allocate memory")  # as Python, OpenVINO and torch say it
ROOT = Path(__file__).resolve().parents[2]


def convert_aside(version: Path, target: Path, form: str) -> None:
    """Fill a directory with OpenVINO's form of a version.

    Args:
        version: its directory.
        target: exists and is empty.
        form: `full`, in fp32 that serves for bf16 too, or `int8`.

    Raises:
        ModelError: it cannot be converted.
        StoreError: the disk or the memory has no room for it at this moment.
    """
    _require_room(version, target)
    command = [sys.executable, "-m", "sentiment.engines.convert"]
    # A file takes all that the libraries say there; a pipe that nobody reads fills up.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            [*command, str(version.resolve()), str(target.resolve()), form],
            cwd=ROOT,  # so that it finds this program, installed or not
            stdin=subprocess.PIPE,  # it ends when this pipe does
            stdout=said,
            stderr=said,
        ) as process,
    ):
        try:
            process.wait(TIMEOUT_S)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise ModelError(f"{version}: not converted within {TIMEOUT_S} s") from None
            raise
        said.seek(0)
        lines = said.read().strip().splitlines()
    if process.returncode:
        raise _error(version, process.returncode, lines[-1] if lines else "")


def _require_room(version: Path, target: Path) -> None:
    # Ahead: of a full disk OpenVINO says "RuntimeError".
    needed = sum(map(_fp32_bytes, version.glob("*.safetensors")))
    free = shutil.disk_usage(target).free
    if free < needed:
        raise StoreError(
            f"cache {target.parent}: {free >> 20} MB are free, a converted engine takes"
            f" {needed >> 20} MB"
        )


def _fp32_bytes(weights: Path) -> int:
    """What they take converted: a version keeps a value in one byte, two or four."""
    try:
        with safe_open(weights, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except SafetensorError as error:
        raise ModelError(f"{weights}: cannot be read") from error
    return FP32_BYTES * sum(map(math.prod, shapes))


def _error(version: Path, returncode: int, last: str) -> NifosError:
    if returncode == ModelError.exit_code:
        return ModelError(last)
    if returncode in KILLED or any(word in last for word in NO_MEMORY):
        # Nothing is wrong with the version, and more memory may be free in a minute.
        return StoreError(
            f"{version}: not converted for OpenVINO, its process was killed or found no memory:"
            " it takes up to 3 GB once (NIFOS_PRECISION=auto can do without)"
        )
    if returncode < 0:
        words = f"its process was ended by signal {-returncode}"
    else:
        words = last.partition(":")[0]  # of a foreign exception no more than its name
    return ModelError(f"{version}: cannot be converted for OpenVINO: {words}")
