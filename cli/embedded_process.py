"""Start a server apart from this terminal, wait for it, end it, and read why it failed.

It does not know which server: PostgreSQL and Redis have files of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from core.errors import ServiceError

POLL_S = 0.03
"""Between two looks at a condition: below what a person notices, above what a look costs."""

SERVER_ENV = {"PATH": os.defpath, "LC_ALL": "C"}
"""All that a server and its tools see of the environment: PG* variables would bend what they do,
and nobody's secrets belong in a process that outlives the command. Messages stay in English."""

FULL_DISK_BYTES = 4 * 1024 * 1024
"""With less room than this a server's own complaint may not have reached its log."""

_PROBLEM = re.compile(r"fatal|panic|error|fail|could not|can't|cannot|denied|no space", re.I)
_KNOCK = re.compile(r"the database system is (starting up|shutting down|not yet)")
"""What PostgreSQL answers to those who knock too early, us included: not why it fails."""

_STAMP = re.compile(r"^.*?\d\d:\d\d:\d\d\.\d+( \S+)? (\[\d+\]|[*#.-]) ")

# A shell in a session of its own starts the server and ends, so that the server is nobody's child
# here: Ctrl-C does not reach it, and this process has nothing to reap when another one stops it.
_DETACH = '"$@" >&2 & echo $!'


def launch(command: Sequence[str | Path], *, log: Path, cwd: Path) -> int:
    """Start a server in its own session, all its output in `log` (begun anew).

    Returns:
        Its pid. Whether it lives on is for the caller to see.

    Raises:
        OSError: the log cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    log_fd = os.open(log, flags, 0o600)
    try:
        shell = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_fd,
            cwd=cwd,
            env=SERVER_ENV,
            start_new_session=True,
            check=True,
        )
    finally:
        os.close(log_fd)
    return int(shell.stdout)


def ask(command: Sequence[str | Path], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a server's tool to its end, apart from the terminal, with its output as text.

    Raises:
        ServiceError: it did not end in time.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd="/",
            env=SERVER_ENV,
            start_new_session=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        program = Path(command[0]).name
        raise ServiceError(f"{program} did not end within {timeout_s:.0f} s") from None


def keep_previous(log: Path) -> None:
    """Keep the log of the run before, and only that one."""
    with suppress(FileNotFoundError):
        log.replace(log.with_name(log.name + ".1"))


def is_alive(pid: int) -> bool:
    """Tell whether a process runs. One that has ended and was not reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def named(names: Sequence[str]) -> Iterable[psutil.Process]:
    """All living processes of these names, without regard to whose they are."""
    # Not psutil.process_iter: it remembers processes by pid, and a pid may have changed hands.
    for pid in psutil.pids():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.name() in names and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def works_in(process: psutil.Process, directory: Path) -> bool:
    """Tell whether a process has this working directory. False where that cannot be read."""
    try:
        return process.cwd().removesuffix(" (deleted)") == str(directory)
    except psutil.Error:
        return False


def command_line(process: psutil.Process) -> list[str]:
    """Read a process's command line, or the title that it wears. Empty when it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Look until the condition holds. False when it did not within the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def end_processes(
    find: Callable[[], Sequence[psutil.Process]], steps: Sequence[tuple[signal.Signals, float]]
) -> bool:
    """Send each step's signal to what `find` finds and give it the step's seconds to go away.

    Returns:
        Whether nothing is left.
    """
    for wanted, patience_s in steps:
        for process in find():
            with suppress(psutil.Error):
                process.send_signal(wanted)
        if wait_until(lambda: not find(), patience_s):
            return True
    return False


def last_problem(text: str, directory: Path) -> str:
    """Pick the line that says why a server failed: its last complaint, else its last line.

    A full disk goes before later complaints, which are about what came of it.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    complaints = [line for line in lines if _PROBLEM.search(line) and not _KNOCK.search(line)]
    if not complaints and shutil.disk_usage(directory).free < FULL_DISK_BYTES:
        return "no space left on the device"
    full_disk = [line for line in complaints if "no space left" in line.lower()]
    found = (full_disk or complaints or lines or ["it ended without a word"])[-1]
    return _STAMP.sub("", found)


def read_log(log: Path) -> str:
    """Read what a server said, or nothing where it could not even begin to."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
