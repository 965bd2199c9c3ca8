"""What the proxy does to connections, seen from a client."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded import EmbeddedServers
from cli.embedded_postgres import SOCKET_NAME
from tests.chaos.proxy import Proxy


@pytest.fixture
def proxy(servers: EmbeddedServers) -> Iterator[Proxy]:
    with Proxy(servers.redis_socket) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as made:
        assert ping(made)
        yield made


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5)


def ping(client: socket.socket) -> bool:
    client.sendall(b"PING\r\n")
    return client.recv(100) == b"+PONG\r\n"


def test_a_half_open_connection_says_nothing_and_a_new_one_works(
    proxy: Proxy, client: socket.socket
) -> None:
    proxy.silence_all()
    with pytest.raises(TimeoutError):
        ping(client)
    with connect(proxy) as another:
        assert ping(another)


def test_a_reset_is_heard_at_once(proxy: Proxy, client: socket.socket) -> None:
    proxy.reset_all()
    with pytest.raises(ConnectionError):
        ping(client)


def test_refused_and_taken_again_on_the_same_port(proxy: Proxy, client: socket.socket) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert ping(client)
    proxy.listen()
    with connect(proxy) as another:
        assert ping(another)


def test_new_connections_that_nobody_answers(proxy: Proxy, client: socket.socket) -> None:
    proxy.swallow_new = True
    assert ping(client)
    with connect(proxy) as another, pytest.raises(TimeoutError):
        ping(another)


def test_slowness_is_that_of_both_directions(proxy: Proxy, client: socket.socket) -> None:
    proxy.latency_s = 0.1
    began = time.monotonic()
    assert ping(client)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("after", 1)])
def test_a_commit_whose_answer_is_lost(
    servers: EmbeddedServers, database_url: str, when: str, kept: int
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    with Proxy(servers.redis_socket.parent / SOCKET_NAME) as proxy:
        proxy.cut_commit = lambda _port: when
        place = f"postgresql://postgres@127.0.0.1:{proxy.port}/{name}"
        connection = psycopg.connect(place)
        connection.execute("insert into source (name) values ('x')")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    with psycopg.connect(database_url) as direct:
        assert direct.execute("select count(*) from source").fetchone() == (kept,)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with Proxy(tmp_path / "no.sock") as proxy, connect(proxy) as client:
        try:
            said = client.recv(1)
        except ConnectionError:
            said = b""
        assert said == b""
