"""Processes below `run` and `up`: a worker and the embedded servers, started again when they die.

The worker stays in our process group and ends when the pipe to us closes, even if we are killed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from types import TracebackType

import psutil
import structlog

from cli.embedded import EmbeddedServers
from core.errors import InputError, ModelError, NifosError
from core.holder import holder_name
from db import scorings
from db.engine import Engine, transaction

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

# A worker that ends with one of these would end with it again.
FINAL_EXIT_CODES = (InputError.exit_code, ModelError.exit_code)
RESTART_DELAY_S = 1.0
SERVERS_EVERY_S = 3.0  # a look costs 50 ms
STOP_PATIENCE_S = 20.0  # a worker ends its chunk first; then it is killed
MOST_DEATHS, WITHIN_S = 5, 60.0  # more is no accident


class WorkerEnded(NifosError):
    """The worker ended for a reason that starting it again would not change."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("the worker cannot run (its own message stands above)")
        self.exit_code = exit_code


class Supervisor:
    """Keeps one `nifos worker` running, from the first `check` on, and the servers that it needs.

    Args:
        engine: to give back what a worker that had to be killed was working on.
        servers: embedded ones, if there are.
    """

    def __init__(self, engine: Engine, servers: EmbeddedServers | None) -> None:
        self._engine = engine
        self._servers = servers
        self._deaths: list[float] = []
        self._look_at = time.monotonic() + SERVERS_EVERY_S
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def check(self) -> None:
        """Start what is not there yet or has died. Call it every second or so.

        Raises:
            WorkerEnded: the worker cannot run; starting it again would not help.
            ServiceError: an embedded server cannot be started again.
        """
        if self._servers is not None and time.monotonic() >= self._look_at:
            self._servers.ensure()
            self._look_at = time.monotonic() + SERVERS_EVERY_S
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start()
            return
        exit_code = self._process.poll()
        if exit_code is None:
            return
        self._close_pipe()
        self._process = None
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < WITHIN_S] + [now]
        if exit_code in FINAL_EXIT_CODES or len(self._deaths) >= MOST_DEATHS:
            raise WorkerEnded(exit_code if exit_code > 0 else NifosError.exit_code)
        log.warning("worker_restarted", exit_code=exit_code)
        self._start_at = time.monotonic() + RESTART_DELAY_S

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli", "worker", "--stop-with-parent"],
            stdin=subprocess.PIPE,
        )

    def _stop(self) -> None:
        if self._process is None:
            return
        self._close_pipe()  # the worker takes it as the word to end
        try:
            self._process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._kill(self._process)
        self._process = None

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker in the middle of its chunks; that is no fault of theirs."""
        children = psutil.Process(process.pid).children(recursive=True)
        holders = [holder_name(child) for child in children if child.is_running()]
        process.kill()
        process.wait()
        psutil.wait_procs(children, timeout=STOP_PATIENCE_S)  # they are killed with it
        with transaction(self._engine) as connection:
            returned = scorings.give_back_held_by(connection, holders, "stopped")
        log.warning("worker_killed", after_s=STOP_PATIENCE_S, scorings_given_back=returned)

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
