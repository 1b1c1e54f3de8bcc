"""Routes, CORS and limits, over ASGI in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio.testing
from fake_core import FakeCore

from sansio.auth import verify
from sansio.errors import DropReason
from sansio.outputs import Batch
from trio_server.engine import Engine
from trio_server.web import ANSWER_TIMEOUT, BODY_TIMEOUT, App, make_app

ORIGIN = {"origin": "https://app.example"}


class NoUdp:
    def send(self, batch: Batch) -> None:
        raise AssertionError

    def poll_drops(self) -> dict[DropReason, int]:
        return {}


class Site:
    def __init__(self, *, static: Path = Path("/nonexistent"), demo_keys: dict[str, str] | None = None) -> None:
        self.core = FakeCore()
        engine = Engine(self.core, NoUdp(), lambda _: None)
        self.app: App = make_app(
            engine, max_body_bytes=1000, max_outbox_messages=10, static=static, demo_keys=demo_keys
        )

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, f"http://host{path}", **more)


@pytest.fixture
def site() -> Site:
    return Site()


ROUTES = [
    pytest.param("GET", "/", 200, "OK", id="health"),
    pytest.param("HEAD", "/", 200, "", id="health by HEAD"),
    pytest.param("GET", "/rtc/validate", 200, "GET /rtc/validate", id="validate"),
    pytest.param("GET", "//rtc/validate", 200, "GET /rtc/validate", id="leading double slash"),
    pytest.param("GET", "/rtc", 404, "GET /rtc", id="no upgrade"),
    pytest.param("POST", "/twirp/livekit.RoomService/X", 404, "POST /twirp/livekit.RoomService/X", id="twirp"),
    pytest.param("PATCH", "/whip/v1/PA_x", 404, "PATCH /whip/v1/PA_x", id="any method"),
    pytest.param("GET", "/a%20b", 404, "GET /a b", id="decoded path"),
    pytest.param("GET", "/settings/regions", 404, "GET /settings/regions", id="cloud only"),
]


@pytest.mark.parametrize(("method", "path", "status", "body"), ROUTES)
async def test_answers_are_the_cores_with_cors(site: Site, method: str, path: str, status: int, body: str) -> None:
    answer = await site.ask(method, path, headers=ORIGIN)
    assert (answer.status_code, answer.text) == (status, body)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-expose-headers"] == "*"
    assert answer.headers["vary"] == "Origin"


async def test_without_an_origin_any_is_allowed(site: Site) -> None:
    assert (await site.ask("GET", "/")).headers["access-control-allow-origin"] == "*"


async def test_a_preflight_is_answered_before_anything_else(site: Site) -> None:
    answer = await site.ask(
        "OPTIONS", "/twirp/livekit.RoomService/X",
        headers={**ORIGIN, "access-control-request-method": "POST",
                 "access-control-request-headers": "authorization,content-type",
                 "access-control-request-private-network": "true"},
    )  # fmt: skip
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert answer.headers["access-control-max-age"] == "86400"
    assert site.core.names() == []


async def test_what_the_core_sees(site: Site) -> None:
    await site.ask(
        "POST", "/x?a=1&a=2&b=&c=%C3%A9&d=x%2By", headers={"Authorization": "Bearer t", "X-Two": "1"}, content=b"body"
    )
    request = site.core.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/x", b"body")
    assert request.query == {"a": "2", "b": "", "c": "é", "d": "x+y"}
    assert request.headers["authorization"] == "Bearer t"
    assert request.remote == "127.0.0.1"


async def test_repeated_headers_are_joined(site: Site) -> None:
    await site.ask("GET", "/x", headers=[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")])
    assert site.core.requests[0].headers["x-forwarded-for"] == "1.1.1.1, 2.2.2.2"


@pytest.mark.parametrize("length", [1000, 1001, 100_000])
async def test_bodies_have_a_limit(site: Site, length: int) -> None:
    answer = await site.ask("POST", "/x", content=bytes(length))
    assert answer.status_code == (404 if length <= 1000 else 413)
    assert answer.headers["access-control-allow-origin"] == "*"


async def post_pieces(site: Site, *, piece: bytes, pause: float, count: int) -> int:
    """POST a body of unknown length; returns the status."""
    sent: list[Any] = []
    left = [count]

    async def receive() -> dict[str, Any]:
        await trio.sleep(pause)
        left[0] -= 1
        return {"type": "http.request", "body": piece, "more_body": left[0] > 0}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/x", "raw_path": b"/x", "query_string": b"", "headers": [], "client": None,
        "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    await site.app(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(("count", "status"), [(10, 404), (11, 413)])
async def test_bodies_of_unknown_length_have_a_limit_too(site: Site, count: int, status: int) -> None:
    assert await post_pieces(site, piece=bytes(100), pause=0, count=count) == status


async def test_a_body_that_does_not_arrive(site: Site, autojump_clock: trio.testing.MockClock) -> None:
    assert await post_pieces(site, piece=b"x", pause=BODY_TIMEOUT / 2 + 1, count=2) == 408


async def test_an_answer_that_does_not_come(site: Site, autojump_clock: trio.testing.MockClock) -> None:
    site.core.silent_paths.add("/slow")
    start = trio.current_time()
    assert (await site.ask("GET", "/slow", timeout=1000)).status_code == 504
    assert trio.current_time() - start == pytest.approx(ANSWER_TIMEOUT)


@pytest.mark.parametrize("path", ["/demo", "/demo/"])
async def test_a_demo_that_is_not_built_says_how_to_build_it(site: Site, path: str) -> None:
    answer = await site.ask("GET", path)
    assert answer.status_code == 404
    assert "make web" in answer.text


async def test_the_demo_is_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>demo</h1>")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "app.js").write_text("go()")
    site = Site(static=tmp_path)
    moved = await site.ask("GET", "/demo?room=a")
    assert (moved.status_code, moved.headers["location"]) == (307, "demo/?room=a")
    assert (await site.ask("GET", "/demo/")).text == "<h1>demo</h1>"
    assert (await site.ask("GET", "/demo/assets/app.js")).text == "go()"
    assert (await site.ask("GET", "/demo/../secret")).status_code == 404
    assert site.core.names() == ["request"]


async def test_the_demo_gets_tokens_in_development_alone() -> None:
    keys = {"devkey": "secret"}
    site = Site(demo_keys=keys)
    answer = (await site.ask("GET", "/demo/token?room=lobby&identity=alice")).json()
    claims = verify(answer["token"], keys, time.time())
    assert claims.identity == "alice"
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == ("lobby", True)
    assert (await site.ask("GET", "/demo/token?room=lobby")).status_code == 400
    assert (await Site().ask("GET", "/demo/token?room=lobby&identity=alice")).status_code == 404


@asynccontextmanager
async def upgrade(
    site: Site, path: str, query: bytes = b"", version: str = "1.1"
) -> AsyncIterator[list[dict[str, Any]]]:
    sent: list[dict[str, Any]] = []
    to_app, incoming = trio.open_memory_channel[dict[str, Any]](10)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "http_version": version, "path": path, "raw_path": path.encode(), "query_string": query,
             "headers": [(b"origin", b"https://evil.example")], "client": ("::ffff:10.0.0.9", 5),
             "extensions": {"websocket.http.response": {}}, "subprotocols": [], "root_path": ""}  # fmt: skip
    async with trio.open_nursery() as nursery:
        await to_app.send({"type": "websocket.connect"})
        nursery.start_soon(site.app, scope, incoming.receive, send)
        await trio.testing.wait_all_tasks_blocked()
        yield sent
        await to_app.send({"type": "websocket.disconnect", "code": 1000})


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1", "/agent", "//rtc"])
async def test_upgrades_go_to_the_core_whatever_their_origin(site: Site, path: str) -> None:
    async with upgrade(site, path, b"access_token=t") as sent:
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
    request = site.core.requests[0]
    assert (request.path, request.query, request.remote) == (path.replace("//", "/"), {"access_token": "t"}, "10.0.0.9")


@pytest.mark.parametrize(("path", "query", "status"), [("/rtc", b"access_token=bad", 401), ("/other", b"", 404)])
async def test_refused_upgrades_are_readable_answers(site: Site, path: str, query: bytes, status: int) -> None:
    async with upgrade(site, path, query) as sent:
        pass
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == status
    assert (b"access-control-allow-origin", b"https://evil.example") in sent[0]["headers"]


async def test_an_upgrade_over_an_unknown_version_is_refused(site: Site) -> None:
    async with upgrade(site, "/rtc", version="1.2") as sent:
        pass
    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 505)
    assert site.core.names() == []
