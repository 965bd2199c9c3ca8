"""The servers that the program brings itself: who uses them, when they start, when they stop.

Real PostgreSQL and real Redis under `NIFOS_HOME`, over Unix sockets, for as long as anyone uses
them. It does not know how either is run; `embedded_postgres` and `embedded_redis` do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cli import embedded_cluster, embedded_postgres, embedded_redis
from cli.embedded_postgres import EmbeddedPostgres, StillStartingError
from cli.embedded_redis import EmbeddedRedis
from core.errors import ServiceError
from db.roles import READER

SOCKET_PATH_BYTES = 107
"""The kernel's `sun_path` is 108 bytes with its closing zero."""

SHORT_PARENT = Path("/tmp")  # noqa: S108 - checked: owner, mode, no link
"""Not `TMPDIR`: two commands on one home must look in the same place, whatever theirs is."""

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


class EmbeddedServers:
    """Both servers, or one, for as long as the `with` lasts.

    A user holds a shared flock, which the kernel frees however the process ends; the last to leave
    stops the servers. After a crash the next user finds them, and stops them at its end.

    Example:
        with EmbeddedServers(settings.home) as servers:
            engine = make_engine(servers.database_url)
    """

    def __init__(self, home: Path, *, postgres: bool = True, redis: bool = True):
        self._home = home.resolve()
        self._wants_postgres = postgres
        self._wants_redis = redis
        self._sockets = socket_directory(self._home)
        self._postgres = EmbeddedPostgres(self._home / "postgres", self._sockets)
        self._redis = EmbeddedRedis(self._home / "redis", self._sockets)
        self._open = ExitStack()

    @property
    def database_url(self) -> str:
        """A URL for psycopg and SQLAlchemy. Within the `with`, if PostgreSQL was asked for."""
        user, database = embedded_cluster.USER, embedded_postgres.DATABASE
        return f"postgresql://{user}@/{database}?host={self._sockets}"

    @property
    def reader_url(self) -> str:
        """As `database_url`, for a user that can only read (once `db.roles.let_reader_in` ran)."""
        return f"postgresql://{READER}@/{embedded_postgres.DATABASE}?host={self._sockets}"

    @property
    def broker_url(self) -> str:
        """A URL for kombu. redis-py takes `unix://{redis_socket}?db=0`."""
        return f"redis+socket://{self.redis_socket}?virtual_host=0"

    @property
    def redis_socket(self) -> Path:
        """Redis's socket. It answers within the `with`, if Redis was asked for."""
        return self._sockets / embedded_redis.SOCKET_NAME

    def __enter__(self) -> EmbeddedServers:
        """Start or find what was asked for.

        Raises:
            ServiceError: a program is missing, the home cannot be used or a server does not start.
        """
        with self._failures_told():
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Held open throughout: a home that is deleted meanwhile still has its locks.
            try:
                self._starting = self._open_lock("embedded.starting.lock")
                self._users = self._open_lock("embedded.users.lock")
                self._enter()
            except BaseException:
                self._open.close()
                raise
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the servers if nobody else uses them."""
        with self._failures_told(), self._open, _alone(self._starting):
            try:
                self._stop_if_last()
            finally:
                # Closing would not do: a process forked meanwhile holds the same lock.
                fcntl.flock(self._users, fcntl.LOCK_UN)

    def ensure(self) -> None:
        """Start again what was asked for and no longer answers. Some 50 ms when all is well.

        For one who uses them for long: the others' entering does the same.

        Raises:
            ServiceError: as on entering.
        """
        with self._failures_told(), _alone(self._starting):
            self._start_or_find()

    def _enter(self) -> None:
        with _alone(self._starting):
            fcntl.flock(self._users, fcntl.LOCK_SH)
            try:
                self._start_or_find()
            except StillStartingError:
                raise
            except BaseException:
                self._stop_if_last()
                raise

    def _start_or_find(self) -> None:
        # The server that was not asked for has its directory too: the last user stops both.
        for directory in (self._sockets, self._home / "postgres", self._home / "redis"):
            make_private(directory)
        if self._wants_postgres:
            self._postgres.ensure()
        if self._wants_redis:
            self._redis.ensure()

    def _stop_if_last(self) -> None:
        if self._is_last():
            self._stop()

    def _is_last(self) -> bool:
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _stop(self) -> None:
        try:
            self._postgres.stop()
        finally:
            self._redis.stop()
        if self._sockets.parent == SHORT_PARENT:
            _remove_if_empty(self._sockets)

    def _open_lock(self, name: str) -> int:
        # Closed on exec, so that no child of ours counts as a user.
        descriptor = os.open(self._home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._open.callback(os.close, descriptor)
        return descriptor

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = error.filename or self._home
            raise ServiceError(
                f"{path}: {error.strerror or error}: set NIFOS_HOME to a directory of yours that "
                "can be written and has room"
            ) from error


def socket_directory(home: Path) -> Path:
    """Choose where the sockets of a home are: in it, or, if that cannot be, in a short place.

    It cannot be if a path is longer than the kernel allows, or has characters that mean something
    in a connection URL (libpq splits hosts at a comma; kombu and redis-py unquote differently).
    """
    beside = home / "sockets"
    longest = len(os.fsencode(beside / embedded_postgres.SOCKET_NAME))
    if longest <= SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(beside)):
        return beside
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return SHORT_PARENT / f"nifos-{os.geteuid()}-{digest}"


def make_private(directory: Path) -> None:
    """Make a directory that is open to this user alone, or check that it is one.

    Raises:
        ServiceError: it is a link, another user's, or open to others.
        OSError: it cannot be made.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ServiceError(f"{directory} is a link, not a directory: remove it or set NIFOS_HOME")
    if found.st_uid != os.geteuid():
        raise ServiceError(f"{directory} belongs to another user: set NIFOS_HOME to one of yours")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ServiceError(f"{directory} is open to other users: chmod 700 it or set NIFOS_HOME")


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return


@contextmanager
def _alone(lock: int) -> Iterator[None]:
    """Start and stop one at a time. What is done inside has deadlines, so this wait has an end."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
