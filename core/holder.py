"""Who holds a lease: a process, named so that others on its machine can tell whether it lives.

A lease that expires frees the chunk of any dead worker after a minute. A process on the same
machine knows at once: this module is that shortcut. It decides nothing; the fence in the database
keeps the data right even if an answer here is wrong.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil


def this_machine() -> str:
    """Name the place in which a pid means one process: host, boot and pid namespace."""
    boot = _read("/proc/sys/kernel/random/boot_id")[:8]
    try:
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        namespace = "0"
    return f"{socket.gethostname()}/{boot}/{namespace}"


def this_process() -> str:
    """Name this process as the holder of a lease."""
    return holder_name(psutil.Process(os.getpid()))


def parent_process() -> str:
    """Name the process above this one: of a worker's child, the worker."""
    return holder_name(psutil.Process(os.getppid()))


def holder_name(process: psutil.Process) -> str:
    """Name a process of this machine as the holder of a lease."""
    return f"{this_machine()}/{process.pid}/{process.create_time():.2f}"


def is_dead(holder: str) -> bool:
    """Tell whether a holder of `this_machine()` has ended. False for any other machine's."""
    machine, _, rest = holder.rpartition("/")
    machine, _, pid = machine.rpartition("/")
    if machine != this_machine() or not pid.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        # A pid may have been given to another process since; its start time was not.
        started_then = f"{process.create_time():.2f}" == rest
        return not started_then or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""
