"""A TCP proxy before a server's Unix socket that can do to connections what networks do.

It runs an event loop in a thread of its own and knows one thing of PostgreSQL's protocol: what a
COMMIT looks like.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1 << 16
COMMIT = b"COMMIT\x00"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: closing sends a reset


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = (client, server)
        self.port: int = client.get_extra_info("peername")[1]
        self.silent = False  # half-open: both sides believe that the other is there
        self.cut_at_answer = False

    def reset(self) -> None:
        for writer in self.ends:
            with suppress(OSError):
                found: socket.socket = writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """Listens on `127.0.0.1:port` and hands on to a Unix socket, for as long as the `with` lasts.

    latency_s: before each block in either direction. swallow_new: new connections are taken and
    never answered. cut_commit: asked at each COMMIT, with the client's port, whether to cut
    `before` it reaches the server or `after` the server has answered it. cuts: the ports of clients
    that were cut off so.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.latency_s = 0.0
        self.swallow_new = False
        self.cut_commit: Callable[[int], str | None] = lambda _port: None
        self.cuts: list[int] = []

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self.refuse()
        self.reset_all()
        self._do(self._last_links())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self) -> None:
        """Take connections, on the port of before."""

        async def start() -> None:
            self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

        self._do(start())

    def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""

        async def stop() -> None:
            if self._server is not None:
                self._server.close()

        self._do(stop())

    def silence_all(self) -> None:
        """Make every open connection half-open, for ever."""
        for link in list(self._links):
            link.silent = True

    def reset_all(self) -> None:
        """Reset every open connection."""

        async def reset() -> None:
            for link in list(self._links):
                link.reset()

        self._do(reset())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _last_links(self) -> None:
        while len(asyncio.all_tasks()) > 1:  # this one
            for link in list(self._links):
                link.reset()
            await asyncio.sleep(0.01)

    async def _take(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            client.transport.abort()
            return
        link = _Link(client, server)
        link.silent = self.swallow_new
        self._links.add(link)
        try:
            await asyncio.gather(self._requests(link, reader), self._answers(link, answers))
        except OSError:
            pass
        finally:
            link.reset()
            self._links.discard(link)

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while block := await self._read(link, reader):
            cut = self.cut_commit(link.port) if COMMIT in block else None
            if cut == "before":
                self.cuts.append(link.port)
                raise ConnectionResetError
            link.cut_at_answer = cut == "after"
            await self._write(link, link.ends[1], block)
        raise ConnectionResetError  # one side closed: so does the other

    async def _answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while block := await self._read(link, reader):
            if link.cut_at_answer:
                self.cuts.append(link.port)
                raise ConnectionResetError
            await self._write(link, link.ends[0], block)
        raise ConnectionResetError

    async def _read(self, link: _Link, reader: asyncio.StreamReader) -> bytes:
        block = await reader.read(BLOCK_BYTES)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        return block

    async def _write(self, link: _Link, writer: asyncio.StreamWriter, block: bytes) -> None:
        if not link.silent:
            writer.write(block)
            await writer.drain()
