"""Servers as docker-compose.yml deploys them: users with passwords, rights of their roles, TLS.

PostgreSQL with `deploy/users.sql`, Redis with `deploy/redis.sh`, on the programs that are at hand.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from cli.embedded import EmbeddedServers
from cli.embedded_cluster import find_postgres
from cli.embedded_redis import find_redis
from tests.tls import Authority, make_authority, tls_before

REPOSITORY = Path(__file__).resolve().parents[1]
USERS = ("owner", "worker", "producer", "trainer", "reader")


def password(user: str) -> str:
    return f"{user}Secret7f3a"


def passwords() -> dict[str, str]:
    names = (*USERS, "redis", "postgres")
    return {f"{name.upper()}_PASSWORD": password(name) for name in names}


@contextmanager
def deployed_redis(folder: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """The service's own command, at a socket instead of its port. Gives the socket."""
    (folder / "valkey-server").symlink_to(find_redis())
    socket = folder / "r.sock"
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder)} | passwords()
    command = ["sh", str(REPOSITORY / "deploy/redis.sh"), "--port", "0", "--unixsocket"]
    with subprocess.Popen(
        [*command, str(socket)], env=environment, stdout=subprocess.DEVNULL
    ) as service:
        try:
            end = time.monotonic() + 20
            while not socket.exists():
                assert service.poll() is None
                assert time.monotonic() < end
            yield socket, service
        finally:
            service.kill()


@contextmanager
def deployed_postgres(folder: Path) -> Iterator[Path]:
    """All users but the administrator have to show their passwords. Gives the socket."""
    with EmbeddedServers(folder, redis=False) as servers:
        add_users(servers.database_url)
        with psycopg.connect(servers.database_url, autocommit=True) as admin:
            row = admin.execute("show hba_file").fetchone()
            assert row is not None
            rules = "local all postgres trust\nlocal all all scram-sha-256\n"
            Path(row[0]).write_text(rules)
            admin.execute("select pg_reload_conf()")
        yield servers.redis_socket.parent / ".s.PGSQL.5432"


def add_users(url: str) -> None:
    done = subprocess.run(
        [find_postgres() / "psql", "-Xq", "-d", url, "-f", REPOSITORY / "deploy/users.sql"],
        env=os.environ | passwords(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Deployed:
    """URLs of both servers for each user."""

    def __init__(self, postgres_port: int, redis_port: int, authority: Authority) -> None:
        self._postgres_port = postgres_port
        self._redis_port = redis_port
        self._authority = authority

    def database_url(self, user: str) -> str:
        where = f"{user}:{password(user)}@localhost:{self._postgres_port}/nifos"
        return f"postgresql://{where}?sslmode=verify-full&sslrootcert={self._authority.file}"

    def broker_url(self, user: str) -> str:
        where = f"{user}:{password(user)}@localhost:{self._redis_port}/0"
        return f"rediss://{where}?ssl_ca_certs={self._authority.file}"


@contextmanager
def deployed(folder: Path) -> Iterator[Deployed]:
    """Both, by TLS."""
    authority = make_authority(folder)
    with (
        deployed_postgres(folder / "servers") as postgres,
        deployed_redis(folder) as (redis, _service),
        tls_before(postgres, authority.server, postgres=True) as postgres_port,
        tls_before(redis, authority.server) as redis_port,
    ):
        yield Deployed(postgres_port, redis_port, authority)
