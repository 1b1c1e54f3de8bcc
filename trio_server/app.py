"""The whole server: binds its sockets, runs everything in one nursery, and stops in order.

Stopping. The first SIGINT or SIGTERM, in this order: new joins are refused; with a drain time, rooms may empty on their
own for so long; everybody is told to leave; what is queued is given a second to leave; everything is cancelled. A second
signal ends the process where it stands.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack

import attrs
import structlog
import trio

from sansio import Address, KernelChoice, LocalProtocolError, Node, choose_kernel

from . import logs
from .batch import choose as choose_sockets
from .config import ServerConfig
from .connection import http_config, listen, serve_connections
from .engine import Core, Engine
from .net import MediaAddress, choose, local_interfaces
from .udp import PortInUse, UdpSockets, open_sockets
from .web import make_app

log = structlog.get_logger("atrium")

GOODBYE_TIMEOUT = 1.0
"""Seconds for sessions to be closed and their sockets to empty at the end."""
DRAIN_POLL_INTERVAL = 0.25
SIGNALS = (signal.SIGINT, signal.SIGTERM)

MakeCore = Callable[[ServerConfig], Core]


class StartError(Exception):
    """The server cannot start; the message says what to change."""


@attrs.frozen(kw_only=True)
class Running:
    """Where a started server is to be found."""

    port: int
    """Of HTTP."""
    udp_port: int
    media: tuple[MediaAddress, ...]
    engine: Engine


async def serve(
    config: ServerConfig,
    *,
    drain: float = 0.0,
    stop: trio.Event | None = None,
    make_core: MakeCore | None = None,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run until SIGINT or SIGTERM, or until `stop` is set if that is given (then signals are left alone). Raises
    StartError."""
    with ExitStack() as stack:
        signals = stack.enter_context(trio.open_signal_receiver(*SIGNALS)) if stop is None else None
        http = _open_http(config, stack)
        media, udp = _open_udp(config, stack)
        core = (make_core or _node)(config)
        _add_sockets(core, media, udp)
        engine = Engine(core, udp, logs.report)
        app = make_app(
            engine,
            max_body_bytes=config.core.limit.max_body_size,
            max_outbox_messages=config.core.limit.max_outbox_messages,
            demo_keys=config.keys if config.development else None,
        )
        hypercorn = http_config(max_message_bytes=config.core.limit.max_signal_message_size)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.run)
            nursery.start_soon(udp.run, engine)
            nursery.start_soon(serve_connections, app, hypercorn, http)
            running = Running(
                port=http[0].getsockname()[1], udp_port=udp.addresses[0][1], media=tuple(media), engine=engine
            )
            _say_started(config, running)
            task_status.started(running)
            if signals is not None:
                await _wait_for_signal(signals, nursery)
            elif stop is not None:
                await stop.wait()
            await _shut_down(engine, drain)
            nursery.cancel_scope.cancel()


def _node(config: ServerConfig) -> Core:
    offset = time.time() - trio.current_time()
    kernel = _choose_kernel()
    log.info("kernel", kernel=kernel.name, reason=kernel.reason)
    return Node(config.core, entropy=os.urandom, wallclock_offset=offset, kernel=kernel.make(os.urandom))


def _choose_kernel() -> KernelChoice:
    """What does the work per packet: what the environment names, or else the best there is."""
    try:
        return choose_kernel(os.environ.get("ATRIUM_KERNEL", ""))
    except LocalProtocolError as error:
        raise StartError(f"{error}; see ATRIUM_KERNEL") from error


async def _wait_for_signal(signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
    """Returns at the first signal. Later ones end the process, even if the loop is busy."""
    number = await anext(signals)
    log.info("stopping", signal=signal.Signals(number).name)
    for each in SIGNALS:
        signal.signal(each, _end_at_once)  # until the receiver puts back what was there before it
    nursery.start_soon(_end_at_next, signals)


async def _end_at_next(signals: AsyncIterator[int]) -> None:
    _end_at_once(await anext(signals), None)


def _end_at_once(number: int, _: object) -> None:
    os._exit(128 + number)


async def _shut_down(engine: Engine, drain: float) -> None:
    engine.drain()
    if drain > 0:
        log.info("draining", seconds=drain)
        with trio.move_on_after(drain):
            while not engine.is_empty:
                await trio.sleep(DRAIN_POLL_INTERVAL)
    engine.close()
    with trio.move_on_after(GOODBYE_TIMEOUT):
        await engine.wait_all_over()
    log.info("stopped")


# Sockets


def _open_http(config: ServerConfig, stack: ExitStack) -> list[socket.socket]:
    """A listener for each bind address, all on one port."""
    addresses = config.bind_addresses or (("::",) if socket.has_ipv6 else ("0.0.0.0",))
    opened: list[socket.socket] = []
    port = config.port
    for address in addresses:
        try:
            sock = listen(address, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartError(f"port {port} is in use; choose another with --port") from error
            if address == "::" and not config.bind_addresses:
                sock = listen("0.0.0.0", port)
            elif opened and ":" in address:
                continue  # loopback of IPv6, which not every host has
            else:
                raise StartError(f"cannot listen on {address}, port {port}: {error.strerror}; see --bind") from error
        opened.append(stack.enter_context(sock))
        port = opened[0].getsockname()[1]
    return opened


def _open_udp(config: ServerConfig, stack: ExitStack) -> tuple[list[MediaAddress], UdpSockets]:
    media = choose(local_interfaces(), node_ips=config.node_ips, loopback=config.loopback, allowed=config.allowed)
    if not media:
        raise StartError(
            "no address for media: see rtc.interfaces, rtc.ips, rtc.enable_loopback_candidate and --node-ip"
        )
    binds = list(dict.fromkeys(each.bind for each in media))
    try:
        udp = open_sockets(binds, config.udp_ports)
    except PortInUse as error:
        raise StartError(f"UDP {error}; choose another with --udp-port") from error
    except OSError as error:
        raise StartError(f"cannot bind UDP on {', '.join(binds)}: {error.strerror}; see --node-ip") from error
    stack.callback(udp.close)
    return media, udp


def _add_sockets(core: Core, media: Sequence[MediaAddress], udp: UdpSockets) -> None:
    for local in udp.addresses:
        advertised: list[Address] = [(each.advertise, local[1]) for each in media if each.bind == local[0]]
        core.add_socket(local, advertised)


def _say_started(config: ServerConfig, running: Running) -> None:
    for note in config.notes:
        log.warning(note)
    log.info(
        "server started",
        portHttp=running.port,
        bindAddresses=list(config.bind_addresses) or ["all"],
        portUDP=running.udp_port,
        media=sorted({each.advertise for each in running.media}),
        sockets=choose_sockets().name,
        version=config.core.version,
    )
