"""TLS in tests: an authority of the test's own, and a proxy that ends TLS before a server.

The servers that tests run are built without TLS; what is tested is our side of the connection.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""What libpq sends before anything else; the answer S means: go on with TLS."""

TLS_HANDSHAKE = b"\x16\x03"
"""What a client that speaks TLS says first."""
SILENCE_S = 5.0


@dataclass(frozen=True)
class Authority:
    """Certificates of the name `localhost`, and the file by which they are verified."""

    file: Path
    server: ssl.SSLContext


def make_authority(folder: Path) -> Authority:
    authority = trustme.CA()
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    return Authority(file, server)


@contextmanager
def tls_before(target: Path, context: ssl.SSLContext, *, postgres: bool = False) -> Iterator[int]:
    """Listen on a port of 127.0.0.1 by TLS, and pass on to a Unix socket. Gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_pass_on, args=(client,), daemon=True).start()

        def _pass_on(client: socket.socket) -> None:
            with suppress(OSError), client:
                if postgres:
                    assert client.recv(8, socket.MSG_WAITALL) == SSL_REQUEST
                    client.sendall(b"S")
                with context.wrap_socket(client, server_side=True) as plain:
                    _exchange(plain, target)

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        stack.callback(stop.set)
        yield listener.getsockname()[1]


class PlainServer:
    """A server that speaks no TLS and writes down what it is told."""

    def __init__(self, listener: socket.socket) -> None:
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def heard(self) -> bytes:
        """All that was said up to now; it listens no longer."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        return b"".join(self._heard)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError), client:
                client.settimeout(SILENCE_S)
                while said := client.recv(1 << 16):
                    self._heard.append(said)
                    # PostgreSQL's no to TLS; Redis answers what it understands with OK.
                    client.sendall(b"N" if said == SSL_REQUEST else b"+OK\r\n")


@contextmanager
def plain_server() -> Iterator[PlainServer]:
    """On a port of 127.0.0.1, one connection after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = PlainServer(listener)
        try:
            yield server
        finally:
            server.heard()


def _exchange(client: ssl.SSLSocket, target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(str(target))
        while True:
            # What TLS has decrypted already does not show in the socket any more.
            ready = [client] if client.pending() else select.select([client, server], [], [])[0]
            for source in ready:
                data = source.recv(1 << 16)
                if not data:
                    return
                (server if source is client else client).sendall(data)
