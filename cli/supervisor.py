"""Processes below `run` and `up`: services and the embedded servers, started again when they die.

They stay in our process group and end when the pipe to us closes, even if we are killed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import psutil
import structlog

from cli.embedded import EmbeddedServers
from core.errors import InputError, ModelError, NifosError
from core.holder import holder_name
from db import scorings, training_leases
from db.engine import Engine, transaction

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

# A service that ends with one of these would end with it again.
FINAL_EXIT_CODES = (InputError.exit_code, ModelError.exit_code)
RESTART_DELAY_S = 1.0
SERVERS_EVERY_S = 3.0  # a look costs 50 ms
STOP_PATIENCE_S = 20.0  # a worker ends its chunk first; then it is killed
MOST_DEATHS, WITHIN_S = 5, 60.0  # more is no accident


class ServiceEnded(NifosError):
    """A service ended for a reason that starting it again would not change."""

    def __init__(self, name: str, exit_code: int) -> None:
        super().__init__(f"the {name} cannot run (its own message stands above)")
        self.exit_code = exit_code


class Supervisor:
    """Keeps services running, from the first `check` on, and the servers that they need.

    Args:
        engine: to give back what a service that had to be killed was working on.
        servers: embedded ones, if there are.
        names: of the services: `nifos NAME` is the command of each.
    """

    def __init__(
        self, engine: Engine, servers: EmbeddedServers | None, names: Sequence[str] = ("worker",)
    ) -> None:
        self._servers = servers
        self._look_at = time.monotonic() + SERVERS_EVERY_S
        self._services = [_Service(engine, name) for name in names]

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_error: object) -> None:
        for service in self._services:
            service.tell_to_end()
        for service in self._services:
            service.wait()

    def check(self) -> None:
        """Start what is not there yet or has died. Call it every second or so.

        Raises:
            ServiceEnded: a service cannot run; starting it again would not help.
            ServiceError: an embedded server cannot be started again.
        """
        if self._servers is not None and time.monotonic() >= self._look_at:
            self._servers.ensure()
            self._look_at = time.monotonic() + SERVERS_EVERY_S
        for service in self._services:
            service.check()


class _Service:
    """One process, started again when it dies."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._deaths: list[float] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    def check(self) -> None:
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start()
            return
        exit_code = self._process.poll()
        if exit_code is None:
            return
        self.tell_to_end()
        self._process = None
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < WITHIN_S] + [now]
        if exit_code in FINAL_EXIT_CODES or len(self._deaths) >= MOST_DEATHS:
            raise ServiceEnded(self._name, exit_code if exit_code > 0 else NifosError.exit_code)
        log.warning("service_restarted", service=self._name, exit_code=exit_code)
        self._start_at = time.monotonic() + RESTART_DELAY_S

    def tell_to_end(self) -> None:
        """Close the pipe: the process takes it as the word to end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended; kill it where that takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._kill(self._process)
        self._process = None

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli", self._name, "--stop-with-parent"],
            stdin=subprocess.PIPE,
        )

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a service in the middle of its work; that is no fault of the work's."""
        parent = psutil.Process(process.pid)
        children = parent.children(recursive=True)
        holders = [holder_name(each) for each in (parent, *children) if each.is_running()]
        process.kill()
        process.wait()
        psutil.wait_procs(children, timeout=STOP_PATIENCE_S)  # they end with it
        with transaction(self._engine) as connection:
            chunks = scorings.give_back_held_by(connection, holders, "stopped")
            runs = training_leases.give_back_held_by(connection, holders, "stopped")
        log.warning(
            "service_killed",
            service=self._name,
            after_s=STOP_PATIENCE_S,
            scorings_given_back=chunks,
            retrains_given_back=runs,
        )
