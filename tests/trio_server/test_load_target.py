"""URLs of servers to test, and the first look at them."""

from __future__ import annotations

import pytest
import trio

from trio_server.load.target import LoadError, Target, find


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "tls"),
    [
        ("ws://127.0.0.1:7880", "127.0.0.1", 7880, "", False),
        ("http://localhost", "localhost", 80, "", False),
        ("wss://call.example.org", "call.example.org", 443, "", True),
        ("https://example.org:8443/media/", "example.org", 8443, "/media", True),
        ("ws://[::1]:7880", "::1", 7880, "", False),
    ],
    ids=["port", "default", "wss", "path", "IPv6"],
)
def test_urls(url: str, host: str, port: int, path: str, tls: bool) -> None:
    target = Target.parse(url)
    assert (target.host, target.port, target.path, target.tls) == (host, port, path, tls)
    assert target.resource("/rtc", {"a": "b c"}) == f"{path}/rtc?a=b+c"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:7880", "no URL of a server"),
        ("localhost", "no URL of a server"),
        ("ftp://example.org", "no URL of a server"),
        ("ws://", "names no host"),
        ("ws://host:99999", "is no URL"),
        ("ws://host:0", "port 0"),
        ("ws://[::1", "is no URL"),
    ],
)
def test_bad_urls_say_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        Target.parse(url)


@pytest.mark.parametrize(("url", "local"), [("ws://localhost:1", True), ("ws://[::1]", True), ("ws://10.0.0.1", False)])
def test_the_development_key_serves_this_host(url: str, local: bool) -> None:
    assert Target.parse(url).is_local is local


@pytest.mark.net
@pytest.mark.parametrize(("status", "has_v1"), [(200, True), (401, True), (404, False)])
async def test_the_first_look_finds_out_which_signalling_there_is(status: int, has_v1: bool) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        assert request.startswith(b"GET /media/rtc/v1/validate HTTP/1.1\r\n")
        assert b"Authorization: Bearer token" in request
        await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        found = await find(Target.parse(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/media"), "token")
        assert (found.local_host, found.has_v1) == ("127.0.0.1", has_v1)
        nursery.cancel_scope.cancel()


@pytest.mark.net
async def test_something_else_than_http_is_said_to_be_that() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"220 mail.example.org ESMTP\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        with pytest.raises(LoadError, match="does not speak HTTP"):
            await find(Target.parse(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"), "token")
        nursery.cancel_scope.cancel()


@pytest.mark.net
async def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(LoadError, match=rf"cannot reach ws://127.0.0.1:{port}: Connection refused"):
        await find(Target.parse(f"ws://127.0.0.1:{port}"), "token")
