"""One real PostgreSQL of our own: found if it answers, else started, ended when told.

It does not know who uses it or for how long, and not a table of what is in it.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import structlog

from cli import embedded_cluster as cluster
from cli import embedded_process as processes
from core.errors import DatabaseError

PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
DATABASE = "nifos"

STARTUP_S = 60.0
"""How long one that says that it is starting (crash recovery, or shutting down) is waited for."""

SILENCE_S = 30.0
"""One that lives but has said nothing for so long hangs, or has lost its socket."""

ORPHANS_S = 60.0
"""How long the remains of a killed server may keep its shared memory in use."""

PING_S = 3
STATEMENT_S = 60.0
"""`create database` copies 8 MB and calls fsync; more than this is a disk that hangs."""

STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast stop with a checkpoint; immediate stop, then kill: the next start recovers from the WAL."""

ORPHAN_STEPS = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 10.0))
ORPHANS_LEAVE_S = 5.0
"""Children see at once that their postmaster is gone, unless they are busy."""

ACCEPTING, REJECTING = 0, 1  # exit codes of pg_isready

_log = structlog.get_logger(__name__)


class StillStartingError(DatabaseError):
    """It recovers and must be let alone: to kill it now is to begin the recovery again."""


class EmbeddedPostgres:
    """The PostgreSQL whose data is under `directory` and which answers in `sockets`."""

    def __init__(self, directory: Path, sockets: Path):
        self._directory = directory
        self._data = directory / "data"
        self._sockets = sockets
        self._log_file = directory / "postgres.log"
        self._marker: str | None = None

    def ensure(self) -> None:
        """Return when a PostgreSQL of ours answers and the database `nifos` exists.

        Raises:
            ServiceError: there is no program, or it does not start; says why.
            StillStartingError: it recovers for longer than `STARTUP_S`; it was left to it.
        """
        binaries = cluster.find_postgres()
        if self._data.exists():
            cluster.check_data(self._data)
        # One without its socket is out of reach for ever, however well it is.
        reachable = (self._sockets / SOCKET_NAME).exists() and self._postmaster()
        if not (reachable and self._wait_for_answer(binaries)):
            self._start(binaries)
        self._create_database(binaries)

    def stop(self) -> None:
        """End every process of our data directory, the postmaster first and in good order.

        Raises:
            DatabaseError: something did not even go on SIGKILL.
        """
        gone = processes.end_processes(self._postmaster, STOP_STEPS)
        gone = gone and (
            processes.wait_until(lambda: not self._find(), ORPHANS_LEAVE_S)
            or processes.end_processes(self._find, ORPHAN_STEPS)
        )
        if not gone:
            raise DatabaseError(f"PostgreSQL in {self._data} cannot be stopped")
        self._remove_stale_files()

    # --- start

    def _start(self, binaries: Path) -> None:
        account = cluster.server_account(binaries / "postgres")
        if not self._data.exists():
            self.stop()  # one whose data directory was deleted: it would take our socket with it
            cluster.make_data(self._data, account, binaries)
            self._marker = None
        if self._postmaster():
            _log.warning("embedded_postgres_out_of_reach")
        processes.keep_previous(self._log_file)
        patience_ends = time.monotonic() + ORPHANS_S
        while True:
            self.stop()
            command = [*account, *self._command(binaries)]
            pid = processes.launch(command, log=self._log_file, cwd=self._directory)
            if self._wait_for_answer(binaries, pid):
                break
            said = processes.read_log(self._log_file)
            if "still in use" not in said or time.monotonic() > patience_ends:
                reason = processes.last_problem(said, self._directory)
                raise DatabaseError(f"PostgreSQL does not start: {reason} (see {self._log_file})")
            time.sleep(processes.POLL_S)

    def _remove_stale_files(self) -> None:
        # No process of this data directory lives. PostgreSQL would still believe a pid that now
        # belongs to a stranger, and refuse to start.
        for path in (
            self._data / "postmaster.pid",
            self._sockets / SOCKET_NAME,
            self._sockets / f"{SOCKET_NAME}.lock",
        ):
            path.unlink(missing_ok=True)

    def _command(self, binaries: Path) -> list[str | Path]:
        options = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            # Stands in the title of every process: how we know them, whatever a pid file says.
            "cluster_name": self._title() or "",
            # Holds the index of ten million ids; memory is taken as it is touched.
            "shared_buffers": "512MB",
            "max_connections": "100",
            "max_wal_size": "1GB",
            "fsync": "on",
            "synchronous_commit": "on",
            # A failed statement's error can quote people's texts: whoever sent it reads it, the
            # log does not. (In this setting "log" stands above errors and below "fatal".)
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_checkpoints": "off",
        }
        settings = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
        return [binaries / "postgres", "-D", self._data, *settings]

    # --- find

    def _title(self) -> str | None:
        # By inode: it follows a home that is moved, and is not given out again while a server of
        # a home that was deleted still works in it.
        if self._marker is None and self._data.exists():
            data = self._data.stat()
            # Closed by a word, so that no marker is the beginning of another.
            self._marker = f"nifos-{data.st_dev:x}-{data.st_ino:x}-data"
        return self._marker

    def _find(self) -> list[psutil.Process]:
        """All processes of our data directory: the postmaster, its children, a dead one's too."""
        return [process for process in processes.named(("postgres",)) if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        # A title can be read where a working directory cannot (root without CAP_SYS_PTRACE, as in
        # a container); the working directory tells one that was started by hand.
        title = self._title()
        shown = " ".join(processes.command_line(process))
        return (title is not None and title in shown) or processes.works_in(process, self._data)

    def _postmaster(self) -> list[psutil.Process]:
        return [process for process in self._find() if not _is_child(process)]

    # --- ask

    def _wait_for_answer(self, binaries: Path, pid: int | None = None) -> bool:
        """Wait while it lives. True: it answers. False: it ended, or is silent for too long."""
        began = spoke = time.monotonic()
        while (pid is not None and processes.is_alive(pid)) or self._postmaster():
            state = self._ping(binaries)
            now = time.monotonic()
            if state == ACCEPTING:
                return True
            if state == REJECTING:
                spoke = now
                if now - began > STARTUP_S:
                    raise StillStartingError(
                        f"PostgreSQL is recovering from a crash for more than {STARTUP_S:.0f} s: "
                        f"try again in a minute (see {self._log_file})"
                    )
            elif now - spoke > SILENCE_S:
                return False
            time.sleep(processes.POLL_S)
        return False

    def _ping(self, binaries: Path) -> int:
        # Not a login: a server with no connection to spare answers too.
        command: list[str | Path] = [binaries / "pg_isready", *self._where(), "-t", str(PING_S)]
        return processes.ask(command, timeout_s=PING_S + 10).returncode

    def _create_database(self, binaries: Path) -> None:
        names = self._psql(binaries, "select datname from pg_database").split()
        if DATABASE not in names:
            self._psql(binaries, f"create database {DATABASE}")

    def _psql(self, binaries: Path, statement: str) -> str:
        command: list[str | Path] = [binaries / "psql", "-XAtq", *self._where(), "-c", statement]
        answer = processes.ask(command, timeout_s=STATEMENT_S)
        if answer.returncode != 0:
            reason = processes.last_problem(answer.stderr, self._directory)
            raise DatabaseError(f"PostgreSQL refuses: {reason}")
        return answer.stdout

    def _where(self) -> list[str]:
        return ["-h", str(self._sockets), "-p", str(PORT), "-U", cluster.USER, "-d", "postgres"]


def _is_child(process: psutil.Process) -> bool:
    # Children wear a title, "postgres: nifos-...: checkpointer"; the postmaster its command line.
    words = processes.command_line(process)
    return not words or words[0].startswith("postgres:")
