"""A road to the server that a test can break: connections to one path of it, and no others."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType

from .server import Server

CHUNK = 1 << 16


class Relay:
    """Passes TCP connections on to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: dict[asyncio.StreamWriter, str] = {}
        """Connections, with the path that each asked for."""

    async def __aenter__(self) -> Relay:
        self._listener = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut("/")

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self, path: str) -> int:
        """Break all connections to paths that begin so, without a word. Returns how many there were."""
        cut = [writer for writer, asked in self._open.items() if asked.startswith(path)]
        for writer in cut:
            writer.transport.abort()
        return len(cut)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        self._open[writer] = request.split()[1].decode() if request else ""
        there, back = await asyncio.open_connection("127.0.0.1", self._server.port)
        back.write(request)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            del self._open[writer]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
