"""Run `nifos` as a person does, look at its processes, and leave none behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from cli.embedded import EmbeddedServers, socket_directory

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 120.0
# A batch of a row or two makes a chunk take seconds: a test can interfere in the middle of it.
SLOWLY = {"NIFOS_WORKER_PROCESSES": "2", "NIFOS_BATCH_TOKENS": "32"}
# Each process takes four seconds of a processor to load torch, for crawls that it labels in one.
USUALLY = {"NIFOS_WORKER_PROCESSES": "1"}


class Nifos:
    """The command with a home of its own. Relative paths are the repository's.

    Args:
        home: of its data.
        always: environment variables of every call.
    """

    def __init__(self, home: Path, **always: str) -> None:
        self.home = home
        self._always = always
        self._running: list[subprocess.Popen[str]] = []

    def environment(self, **changes: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIFOS_")}
        return inherited | {"NIFOS_HOME": str(self.home)} | USUALLY | self._always | changes

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *map(str, arguments)],
            cwd=REPOSITORY,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S * 2,
            check=False,
        )

    def json(self, *arguments: object, **environment: str) -> Any:
        done = self(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def scalar(self, query: str) -> Any:
        (row,) = self.json("sql", "--format", "json", query)
        return next(iter(row.values()))

    def sees(self, query: str) -> Any:
        """The one value that a query gives now; the home's servers must be running.

        For what passes by: it takes milliseconds, where the command takes seconds to start.
        """
        url = EmbeddedServers(self.home).database_url
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return row[0]

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """Start it in a process group of its own, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *map(str, arguments)],
            cwd=REPOSITORY,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self._running.append(process)
        return process

    def end(self) -> None:
        """End what is left of every started group, and the servers if they still run."""
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if _servers_run(self.home):
            with EmbeddedServers(self.home):
                pass

    def check_complete(self, accepted: int) -> None:
        """Each accepted document has one label, of its version; counts agree, nothing is open."""
        facts = self.json(
            "sql",
            "--format",
            "json",
            "select (select count(*) from document) as documents,"
            " (select count(*) from label) as labels,"
            " (select count(*) from sentiment) as shown,"
            " (select sum(n) from sentiment_daily) as daily,"
            " (select sum(n_labelled) from scoring) as counted,"
            " (select count(*) from scoring where state <> 'done') as open,"
            " (select count(*) from document d join chunk c on c.id = d.chunk_id join label l"
            "  on l.document_id = d.id and l.version_id = c.wanted_version_id) as as_wanted",
        )[0]
        assert facts.pop("open") == 0
        assert set(facts.values()) == {accepted}, facts


def worker_parents(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The `nifos worker` processes under a `run` or an `up`."""
    return [child for child in psutil.Process(process.pid).children() if "worker" in _words(child)]


def worker_children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that label."""
    return [
        child
        for parent in worker_parents(process)
        for child in parent.children()
        if any("spawn_main" in word for word in _words(child))
    ]


def _servers_run(home: Path) -> bool:
    places = {str(home), str(home.resolve()), str(socket_directory(home.resolve()))}
    lines = (" ".join(_words(process)) for process in psutil.process_iter())
    return any(place in line for line in lines for place in places)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_until(
    what: str,
    condition: Callable[[], bool],
    deadline_s: float = DEADLINE_S,
    every_s: float = 0.2,
) -> None:
    """Wait for a condition; it fails by name, never by a sleep that was too short."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(every_s)
