"""Ask a process of its own whether a device can be used: torch stays out of the asking one."""

from __future__ import annotations

import subprocess
import sys

from core.errors import ModelError

DEVICES_ALWAYS_THERE = ("auto", "cpu")
PROBE_TIMEOUT_S = 120  # a first import of torch from a cold disk


def probe_device(device: str) -> str:
    """Describe the device that a setting chooses.

    Raises:
        ModelError: it is not there; the message names those that are.
    """
    probe = subprocess.run(
        [sys.executable, "-m", "sentiment.device", device],
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
        check=False,
    )
    if probe.returncode:
        lines = probe.stderr.strip().splitlines()
        raise ModelError(lines[-1] if lines else f"device {device} cannot be used")
    return probe.stdout.strip()
