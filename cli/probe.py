"""Ask a process of its own whether a device can be used: torch stays out of the asking one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from core.errors import ModelError

NVIDIA_DRIVER = Path("/proc/driver/nvidia")
PROBE_TIMEOUT_S = 120  # a first import of torch from a cold disk


def probe_device(device: str, precision: str = "auto") -> str:
    """Describe the device that a setting chooses; its name comes first, `cpu` or `cuda:0`.

    Args:
        device: as `sentiment.device.choose_device` reads it.
        precision: that is to be computed in there.

    Raises:
        ModelError: it is not there (the message names those that are), or cannot do that.
    """
    known = device == "cpu" or (device == "auto" and not NVIDIA_DRIVER.exists())
    if known and precision == "auto":
        return "cpu"  # known without the seconds that torch takes to say so
    return describe_device(device, precision)


def describe_device(
    device: str,
    precision: str = "auto",
    engine: str = "auto",
    *,
    version: Path | None = None,
    cache: Path | None = None,
    why: str | None = None,
) -> str:
    """The same, with the engine and the precision that it would compute in, and why these.

    Args:
        device: as above.
        precision: as above.
        engine: as a version is loaded by.
        version: a directory; None: what the rule takes first for any.
        cache: with a version: where outcomes of its check are kept.
        why: with a version: engine and precision are so, if no person asked for them.

    Raises:
        ModelError: as `probe_device`, or no such engine here.
    """
    of_version = (
        [] if version is None else [str(version), str(cache or ""), *([why] if why else [])]
    )
    try:
        probe = subprocess.run(
            [sys.executable, "-m", "sentiment.device", device, precision, engine, *of_version],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        words = f"device {device} did not answer within {PROBE_TIMEOUT_S} s"
        raise ModelError(words) from None
    if probe.returncode:
        lines = probe.stderr.strip().splitlines()
        raise ModelError(lines[-1] if lines else f"device {device} cannot be used")
    return probe.stdout.strip()
