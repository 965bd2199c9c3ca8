"""TLS to both servers is verified, and whatever is wrong with a connection is one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from sqlalchemy import text

from cli.embedded import EmbeddedServers
from core.broker import Celery, connect, make_celery_app, publish, queue_depth
from core.errors import BrokerError, DatabaseError, InputError
from core.messages import ScoringKey
from db.engine import make_engine, transaction
from tests.tls import (
    SSL_REQUEST,
    TLS_HANDSHAKE,
    Authority,
    PlainServer,
    make_authority,
    plain_server,
    tls_before,
)

PASSWORD = "hunter2-0f3a"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def redis_port(servers: EmbeddedServers, authority: Authority, broker_url: str) -> Iterator[int]:
    with tls_before(servers.redis_socket, authority.server) as port:
        yield port


@pytest.fixture
def user(servers: EmbeddedServers, broker_url: str) -> Iterator[str]:
    """An ACL user who may count messages and send none."""
    with redis.Redis(unix_socket_path=str(servers.redis_socket)) as admin:
        admin.acl_setuser(
            "counter",
            enabled=True,
            passwords=[f"+{PASSWORD}"],
            keys=["*"],
            commands=["+ping", "+llen", "+multi", "+exec", "+select"],
        )
        yield "counter"
        admin.acl_deluser("counter")


def _send(app: Celery) -> None:
    with connect(app) as connection:
        publish(app, connection, [ScoringKey(1, 1)])


def _refusal(url: str) -> str:
    app = make_celery_app(url)
    with pytest.raises(BrokerError) as caught:
        _send(app)
    app.close()
    said = str(caught.value)
    assert caught.value.exit_code == 3
    assert "NIFOS_BROKER_URL" in said
    assert PASSWORD not in said
    assert "\n" not in said
    return said


def test_redis_is_reached_by_tls(redis_port: int, authority: Authority) -> None:
    app = make_celery_app(f"rediss://localhost:{redis_port}/0?ssl_ca_certs={authority.file}")
    with connect(app) as connection:
        publish(app, connection, [ScoringKey(1, 1)])
        assert queue_depth(connection) == 1
    app.close()


def test_the_authorities_of_the_system_are_asked_where_none_is_named(redis_port: int) -> None:
    assert "certificate is refused" in _refusal(f"rediss://:{PASSWORD}@localhost:{redis_port}/0")


def test_a_redis_of_another_authority_is_refused(redis_port: int, stranger: Authority) -> None:
    url = f"rediss://:{PASSWORD}@localhost:{redis_port}/0?ssl_ca_certs={stranger.file}"
    assert "certificate is refused" in _refusal(url)


def test_a_redis_of_another_name_is_refused(redis_port: int, authority: Authority) -> None:
    url = f"rediss://:{PASSWORD}@127.0.0.1:{redis_port}/0?ssl_ca_certs={authority.file}"
    said = _refusal(url)
    assert "certificate is refused" in said
    assert "127.0.0.1" in said


@pytest.fixture
def clear() -> Iterator[PlainServer]:
    with plain_server() as server:
        yield server


def test_a_redis_without_tls_is_not_talked_to_in_the_clear(
    clear: PlainServer, authority: Authority
) -> None:
    url = f"rediss://:{PASSWORD}@localhost:{clear.port}/0?ssl_ca_certs={authority.file}"
    assert "cannot be used" in _refusal(url)
    heard = clear.heard()
    assert heard.startswith(TLS_HANDSHAKE)
    assert PASSWORD.encode() not in heard


@pytest.mark.parametrize(
    "query",
    ["ssl_cert_reqs=none", "ssl_check_hostname=false", "ssl_ca_certs=/nowhere", "ssl_ca_certs="],
)
def test_nothing_turns_the_verification_off(query: str) -> None:
    with pytest.raises(InputError, match="NIFOS_BROKER_URL"):
        make_celery_app(f"rediss://localhost:6380/0?{query}")


def test_a_wrong_password_and_a_right_that_is_missing_are_told(
    servers: EmbeddedServers, authority: Authority, redis_port: int, user: str
) -> None:
    tls = f"localhost:{redis_port}/0?ssl_ca_certs={authority.file}"
    assert "user or the password" in _refusal(f"rediss://{user}:x{PASSWORD}@{tls}")
    said = _refusal(f"rediss://{user}:{PASSWORD}@{tls}")
    assert "ACL" in said
    assert "'sadd'" in said


@pytest.fixture
def postgres_port(servers: EmbeddedServers, authority: Authority) -> Iterator[int]:
    socket = servers.redis_socket.parent / ".s.PGSQL.5432"
    with tls_before(socket, authority.server, postgres=True) as port:
        yield port


def _select(url: str) -> object:
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            return connection.scalar(text("select 1"))
    finally:
        engine.dispose()


def _database_refusal(url: str) -> str:
    with pytest.raises(DatabaseError) as caught:
        _select(url)
    said = str(caught.value)
    assert caught.value.exit_code == 3
    assert PASSWORD not in said
    assert "\n" not in said
    return said


def test_postgres_is_reached_by_tls_and_verified(
    postgres_port: int, authority: Authority, stranger: Authority
) -> None:
    def url(host: str, trusted: Authority) -> str:
        return (
            f"postgresql://postgres:{PASSWORD}@{host}:{postgres_port}/nifos"
            f"?sslmode=verify-full&sslrootcert={trusted.file}"
        )

    assert _select(url("localhost", authority)) == 1
    assert "certificate verify failed" in _database_refusal(url("localhost", stranger))
    assert "does not match host name" in _database_refusal(url("127.0.0.1", authority))


def test_a_postgres_without_tls_is_not_talked_to_in_the_clear(
    clear: PlainServer, authority: Authority
) -> None:
    url = f"postgresql://postgres:{PASSWORD}@localhost:{clear.port}/nifos"
    verified = f"{url}?sslmode=verify-full&sslrootcert={authority.file}"
    assert "server does not support SSL" in _database_refusal(verified)
    # Each of its tries asks for TLS, and goes away at the answer no.
    heard = clear.heard()
    assert heard
    assert heard.replace(SSL_REQUEST, b"") == b""


@pytest.fixture
def password_only(servers: EmbeddedServers) -> Iterator[str]:
    """A user who has to show a password, unlike all others of the tests' server."""
    name = f"shy_{uuid4().hex[:8]}"
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        row = admin.execute("select setting from pg_settings where name = 'hba_file'").fetchone()
        assert row is not None
        rules = Path(row[0])
        before = rules.read_text()
        admin.execute(f"create user {name} password '{PASSWORD}'".encode())
        rules.write_text(f"local all {name} scram-sha-256\n{before}")
        admin.execute("select pg_reload_conf()")
        yield name
        rules.write_text(before)
        admin.execute("select pg_reload_conf()")
        admin.execute(f"drop user {name}".encode())


def test_a_wrong_password_of_postgres_is_told(servers: EmbeddedServers, password_only: str) -> None:
    url = servers.database_url.replace("//postgres@", f"//{password_only}:{PASSWORD}@")
    assert _select(url) == 1
    said = _database_refusal(url.replace(PASSWORD, f"x{PASSWORD}"))
    assert "password authentication failed" in said


def test_an_at_sign_in_a_password_is_asked_for_in_its_other_form() -> None:
    with pytest.raises(InputError, match="%40") as caught:
        make_engine(f"postgresql://u:x@{PASSWORD}@localhost/db")
    assert PASSWORD not in str(caught.value)
