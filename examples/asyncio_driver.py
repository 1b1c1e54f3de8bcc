"""A whole server on asyncio: the core of Atrium, one UDP socket, and aiohttp for HTTP and WebSocket.

    python examples/asyncio_driver.py [HTTP port [UDP port]]

It serves the same clients as `atrium dev`, with LiveKit's development key. It is meant to be read and taken from: the driver
that comes with Atrium (`trio_server`) does the same with more care for load, slow clients, logs and configuration.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, assert_never

from aiohttp import WSMsgType, web

from sansio import Accept, Close, Command, Config, HttpRequest, Node, Reject, Respond, Send, SessionId

WEBSOCKET_PATHS = ("/rtc", "/rtc/v1", "/agent")
MAX_WAITING = 1000
"""Commands for one WebSocket beyond which its client is given up."""


class Driver(asyncio.DatagramProtocol):
    """Feeds the node, carries out what it answers, and wakes it at its deadlines.

    Every input is one call of `feed`: no `await` happens between the input and its consequences, so the node is never entered
    twice and needs no lock.
    """

    def __init__(self, config: Config) -> None:
        self.loop = asyncio.get_running_loop()
        self.node = Node(config, entropy=os.urandom, wallclock_offset=time.time() - self.loop.time())
        self.timer: asyncio.TimerHandle | None = None
        self.sessions: dict[SessionId, asyncio.Queue[Command]] = {}
        self.answers: dict[int, asyncio.Future[Respond]] = {}
        self.numbers = iter(range(1, sys.maxsize))

    def feed(self, handle: Callable[..., None], *what: object) -> None:
        handle(self.loop.time(), *what)
        self.flush()

    def flush(self) -> None:
        for batch in self.node.poll_transmits():
            for out in batch:
                self.udp.sendto(out.data, out.remote)
        for command in self.node.poll_commands():
            self.perform(command)
        for event in self.node.poll_events():
            print(event)
        if self.timer is not None:
            self.timer.cancel()
        due = self.node.poll_timeout()
        self.timer = None if due is None else self.loop.call_at(due, self.feed, self.node.handle_timeout)

    def perform(self, command: Command) -> None:
        match command:
            case Accept() | Send():
                self.tell(command.session, command)
            case Reject() | Close():
                self.tell(command.session, command)
                self.sessions.pop(command.session, None)  # the node has forgotten it
            case Respond():
                if (answer := self.answers.pop(command.ref, None)) and not answer.done():
                    answer.set_result(command)
            case _:
                assert_never(command)

    def tell(self, session: SessionId, command: Command) -> None:
        """Queue a command for the task of a session. One that does not keep up is ended, and the node told so, soon."""
        if (outbox := self.sessions.get(session)) is None:
            return
        outbox.put_nowait(command)
        if outbox.qsize() > MAX_WAITING:
            outbox.put_nowait(Close(session=session, code=1008, reason="too slow"))
            self.loop.call_soon(self.lose, session)

    def lose(self, session: SessionId) -> None:
        """The WebSocket is gone, and the node does not know it yet."""
        if self.sessions.pop(session, None) is not None:
            self.feed(self.node.handle_disconnect, session)

    # UDP

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.udp = transport
        self.local = transport.get_extra_info("sockname")[:2]
        self.node.add_socket(self.local, [self.local])  # where it is bound, and what clients are told

    def datagram_received(self, data: bytes, remote: tuple[Any, ...]) -> None:
        self.feed(self.node.handle_datagram, self.local, remote[:2], data)

    # HTTP and WebSocket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket" and request.path in WEBSOCKET_PATHS:
            return await self.serve_websocket(request)
        ref = next(self.numbers)
        self.answers[ref] = answer = self.loop.create_future()
        self.feed(self.node.handle_request, ref, http_request(request, await request.read()))
        said = await answer
        return web.Response(status=said.status, body=said.body, headers={"Content-Type": said.content_type})

    async def serve_websocket(self, request: web.Request) -> web.StreamResponse:
        """The node decides before the upgrade is answered; then one task reads and one writes."""
        session = SessionId(next(self.numbers))
        self.sessions[session] = outbox = asyncio.Queue[Command]()
        try:
            self.feed(self.node.handle_connect, session, http_request(request))
            verdict = await outbox.get()
            if not isinstance(verdict, Accept):
                assert isinstance(verdict, Reject)
                return web.Response(status=verdict.status, text=verdict.body)
            socket = web.WebSocketResponse(max_msg_size=1 << 20, heartbeat=10)
            await socket.prepare(request)
            writer = asyncio.create_task(write(socket, verdict, outbox))
            try:
                async for message in socket:
                    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and session in self.sessions:
                        self.feed(self.node.handle_message, session, message.data)
            finally:
                writer.cancel()
            return socket
        finally:
            self.lose(session)


async def write(socket: web.WebSocketResponse, verdict: Accept, outbox: asyncio.Queue[Command]) -> None:
    for frame in verdict.frames:
        await send(socket, frame)
    while True:
        match await outbox.get():
            case Send(_, frame):
                await send(socket, frame)
            case Close(code=code, reason=reason):
                await socket.close(code=code, message=reason.encode())
                return


async def send(socket: web.WebSocketResponse, frame: bytes | str) -> None:
    await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))


def http_request(request: web.Request, body: bytes = b"") -> HttpRequest:
    return HttpRequest(
        method=request.method,
        path="/" + request.path.lstrip("/"),
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        remote=request.remote or "",
    )


@web.middleware
async def allow_any_origin(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    """Browsers may read every answer, refusals included."""
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
    response = web.Response(headers=headers) if request.method == "OPTIONS" else await handler(request)
    if not response.prepared:
        response.headers.update(headers)
    return response


async def main(http_port: int = 7880, udp_port: int = 7882) -> None:
    loop = asyncio.get_running_loop()
    config = Config(keys={"devkey": "secret"})
    udp, driver = await loop.create_datagram_endpoint(lambda: Driver(config), local_addr=("127.0.0.1", udp_port))
    app = web.Application(client_max_size=config.limit.max_body_size, middlewares=[allow_any_origin])
    app.router.add_route("*", "/{path:.*}", driver.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http_port).start()
    print(f"ws://127.0.0.1:{http_port}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        driver.feed(driver.node.close)  # tells everybody to leave
        await runner.cleanup()
        udp.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
