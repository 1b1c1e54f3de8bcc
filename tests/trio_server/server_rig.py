"""A whole server on loopback, with a scripted core behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import structlog
import trio
from fake_core import FakeCore

from trio_server.app import Running, serve
from trio_server.config import ServerConfig, Setting, load


def config(**flags: object) -> ServerConfig:
    given = {
        "port": Setting(0, "--port"),
        "rtc.udp_port": Setting(0, "--udp-port"),
        "rtc.node_ip": Setting("127.0.0.1", ""),
    }
    return load(flags=given | {name: Setting(value, "") for name, value in flags.items()}, development=True)


@attrs.frozen
class Server:
    core: FakeCore
    running: Running
    stop: trio.Event

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.running.port}"


@asynccontextmanager
async def server(**flags: object) -> AsyncIterator[Server]:
    core, stop = FakeCore(), trio.Event()
    with structlog.testing.capture_logs():
        async with trio.open_nursery() as nursery:
            run = partial(serve, config(**flags), stop=stop, make_core=lambda _: core)
            yield Server(core, await nursery.start(run), stop)
            stop.set()
