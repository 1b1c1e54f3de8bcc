"""The whole server on loopback, with a scripted core behind it."""

from __future__ import annotations

import gc
import json
import re
import socket
from collections.abc import Iterator
from functools import partial

import attrs
import h11
import httpx
import pytest
import structlog
import trio
from fake_core import FakeCore
from server_rig import config, server
from trio_websocket import ConnectionClosed, ConnectionRejected, open_websocket_url

from trio_server import app, connection
from trio_server.app import StartError, serve
from trio_server.net import AddressFilter

pytestmark = [
    pytest.mark.net,
    # trio-websocket leaves its socket open when an upgrade is refused or a close comes from the server.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Let what trio-websocket left open be found here, where it is forgiven."""
    yield
    gc.collect()


async def test_plain_requests() -> None:
    async with server() as here, httpx.AsyncClient() as client:
        answer = await client.get(here.http + "/")
        assert (answer.status_code, answer.text) == (200, "OK")
        answer = await client.head(here.http + "/")
        assert (answer.status_code, answer.headers["content-length"]) == (200, "2")


async def test_request_lines_may_be_long() -> None:
    async with server() as here, httpx.AsyncClient() as client:
        answer = await client.get(here.http + "/rtc/v1/validate?join_request=" + "x" * 65_000)
        assert answer.status_code == 404
        assert len(here.core.requests[0].query["join_request"]) == 65_000
        stream = await trio.open_tcp_stream("127.0.0.1", here.running.port)
        await stream.send_all(b"GET /?a=" + b"x" * 200_000)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 431 ")
        await stream.aclose()


async def test_a_websocket_from_join_to_leave() -> None:
    async with server() as here, open_websocket_url(here.ws + "/rtc?access_token=t") as ws:
        assert await ws.get_message() == b"join"
        await ws.send_message(b"hello")
        assert await ws.get_message() == b"hello"
        await ws.send_message("text")
        assert await ws.get_message() == "text"
        await ws.ping()
        await ws.send_message(b"leave")
        assert await ws.get_message() == b"bye"
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        assert caught.value.reason is not None
        assert (caught.value.reason.code, caught.value.reason.reason) == (1000, None)


async def test_a_refused_upgrade_has_status_and_text() -> None:
    async with server() as here:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket_url(here.ws + "/rtc?access_token=bad", extra_headers=[("Origin", "https://a")]):
                pass
        assert (caught.value.status_code, caught.value.body) == (401, b"invalid token")
        assert (b"access-control-allow-origin", b"https://a") in (caught.value.headers or ())


async def test_a_client_that_goes_is_told_to_the_core() -> None:
    async with server() as here:
        async with open_websocket_url(here.ws + "/rtc"):
            pass
        with trio.fail_after(2):
            while "disconnect" not in here.core.names():
                await trio.sleep(0.01)


async def test_messages_have_a_limit() -> None:
    async with server() as here, open_websocket_url(here.ws + "/rtc") as ws:
        await ws.get_message()
        await ws.send_message(bytes((1 << 20) + 1))
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1009
        assert "message" not in here.core.names()


async def test_pings_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.05)
    async with server() as here:
        stream = await trio.open_tcp_stream("127.0.0.1", here.running.port)
        await stream.send_all(UPGRADE)
        received = b""
        with trio.fail_after(2):
            while received.count(b"\x89\x00") < 3:
                received += await stream.receive_some()
        await stream.aclose()


UPGRADE = (
    b"GET /rtc HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_frames_before_the_upgrade_is_answered_end_the_connection() -> None:
    async with server() as here:
        stream = await trio.open_tcp_stream("127.0.0.1", here.running.port)
        await stream.send_all(UPGRADE + b"\x82\x85\0\0\0\0early")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
        await stream.aclose()
        with trio.fail_after(2):
            await here.running.engine.wait_all_over()
        assert here.core.names() == ["connect", "disconnect"]


@pytest.mark.parametrize(
    ("frame", "seconds"),
    [
        pytest.param(b"\x82\x85\0\0\0\0fills", 0.3, id="full socket"),
        pytest.param(b"\x82\x85\0\0\0\0flood", 0, id="full outbox"),
    ],
)
async def test_a_client_that_reads_nothing_is_dropped(
    frame: bytes, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 0.3)
    async with server() as here:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(raw.dup()))
            await stream.socket.connect(("127.0.0.1", here.running.port))
            await stream.send_all(UPGRADE)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
            start = trio.current_time()
            await stream.send_all(frame)
            with trio.fail_after(5):
                await here.running.engine.wait_all_over()
            assert trio.current_time() - start >= seconds
            assert here.core.names() == ["connect", "message", "disconnect"]
            await stream.aclose()


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="bytes in the path"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100, id="broken HTTP/2"),
        pytest.param(UPGRADE.replace(b"13\r", b"12\r"), id="old WebSocket"),
        pytest.param(UPGRADE.replace(b"Sec-WebSocket-Key: ", b"X: "), id="WebSocket without key"),
        pytest.param(UPGRADE + b"\xff\xff\xff\xff", id="broken frame"),
        pytest.param(UPGRADE + b"\x81\x82\0\0\0\0\xff\xff", id="text that is not UTF-8"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nx", id="body too large"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="broken chunk"),
    ],
)
async def test_junk_hurts_nobody(junk: bytes) -> None:
    async with server() as here:
        stream = await trio.open_tcp_stream("127.0.0.1", here.running.port)
        await stream.send_all(junk)
        with trio.move_on_after(1):
            while await stream.receive_some():
                pass
        await stream.aclose()
        async with httpx.AsyncClient() as client:
            assert (await client.get(here.http + "/")).status_code == 200


async def test_several_requests_on_one_connection() -> None:
    async with server() as here:
        stream = await trio.open_tcp_stream("127.0.0.1", here.running.port)
        client = h11.Connection(h11.CLIENT)
        for path in (b"/", b"/nothing", b"/"):
            await stream.send_all(client.send(h11.Request(method="GET", target=path, headers=[("host", "a")])) or b"")
            await stream.send_all(client.send(h11.EndOfMessage()) or b"")
            while not isinstance(event := client.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    client.receive_data(await stream.receive_some())
            client.start_next_cycle()
        await stream.aclose()


async def test_datagrams_reach_the_core_and_its_answers_leave() -> None:
    async with server() as here:
        assert here.core.sockets[0] == (("127.0.0.1", here.running.udp_port), [("127.0.0.1", here.running.udp_port)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            raw.setblocking(False)
            sock = trio.socket.from_stdlib_socket(raw)
            await sock.sendto(b"echo", ("127.0.0.1", here.running.udp_port))
            with trio.fail_after(2):
                assert await sock.recv(100) == b"echo"


async def test_the_end_is_said_to_everybody() -> None:
    async with server() as here, open_websocket_url(here.ws + "/rtc") as ws:
        assert await ws.get_message() == b"join"
        start = trio.current_time()
        here.stop.set()
        assert await ws.get_message() == b"server shutdown"
        with pytest.raises(ConnectionClosed):
            await ws.get_message()
    assert trio.current_time() - start < 1
    assert here.core.names()[:3] == ["connect", "drain", "close"]


async def test_the_end_does_not_wait_for_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 60)
    monkeypatch.setattr(app, "GOODBYE_TIMEOUT", 0.2)
    async with server() as here:
        stream = await trio.open_tcp_stream("127.0.0.1", here.running.port)
        await stream.send_all(UPGRADE)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        await stream.send_all(b"\x82\x85\0\0\0\0fills")
        with trio.fail_after(2):
            while "message" not in here.core.names():
                await trio.sleep(0.01)
        start = trio.current_time()
        here.stop.set()
    assert trio.current_time() - start < 1
    await stream.aclose()


async def test_a_drain_waits_for_rooms_to_empty() -> None:
    core, stop = FakeCore(), trio.Event()
    core.is_empty = False
    with structlog.testing.capture_logs():
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, config(), stop=stop, make_core=lambda _: core, drain=60.0))
            stop.set()
            await trio.sleep(0.4)
            assert core.names() == ["drain"]
            core.is_empty = True
    assert core.names() == ["drain", "close"]


async def test_a_port_in_use_ends_the_start() -> None:
    async with server() as here:
        for flag, value in (("port", here.running.port), ("rtc.udp_port", here.running.udp_port)):
            with pytest.raises(StartError) as caught:
                await serve(config(**{flag: value}), make_core=lambda _: FakeCore())
            assert str(value) in str(caught.value)
            assert "--udp-port" in str(caught.value) if flag == "rtc.udp_port" else "--port" in str(caught.value)


async def test_a_bind_address_of_somebody_else_ends_the_start() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.99.*--bind"):
        await serve(config(bind_addresses=["192.0.2.99"]), make_core=lambda _: FakeCore())


async def test_no_address_for_media_ends_the_start() -> None:
    none = attrs.evolve(config(), node_ips=(), loopback=False, allowed=AddressFilter(include_ips=("198.51.100.0/24",)))
    with pytest.raises(StartError, match="no address for media"):
        await serve(none, make_core=lambda _: FakeCore())


@pytest.mark.parametrize(("name", "kernel"), [("", "native|pure"), ("pure", "pure")], ids=["best", "pure"])
async def test_log_says_which_kernel_runs(
    name: str, kernel: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATRIUM_KERNEL", name)
    await serve(config(), stop=_set())
    assert re.search(rf"kernel\b.*\bkernel=.*({kernel}).*\breason=", capsys.readouterr().out)


async def test_a_kernel_that_is_not_there_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATRIUM_KERNEL", "fast")
    with pytest.raises(StartError, match=r"no kernel named fast.*ATRIUM_KERNEL"):
        await serve(config(), stop=_set())


def _set() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


async def test_notes_are_said_at_the_start() -> None:
    noted = attrs.evolve(config(), notes=("something has no effect",))
    with structlog.testing.capture_logs() as lines:
        await serve(noted, make_core=lambda _: FakeCore(), stop=_set())
    assert lines[0] == {"event": "something has no effect", "log_level": "warning"}
    assert lines[1]["event"] == "server started"
    json.dumps(lines)
