"""The demo's routes: its files or what to do without them, and tokens for its visitors."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
from fake_core import FakeCore
from starlette.applications import Starlette

from sansio.auth import Claims, VideoGrant, mint, verify
from trio_server import demo
from trio_server.config import DEV_KEYS
from trio_server.engine import Engine
from trio_server.web import make_app

OWN_KEYS = {"APIone": "o" * 40, "APItwo": "t" * 40}
ABSENT = Path("/nonexistent")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<h1>demo</h1>")
    (tmp_path / "app.js").write_text("go()")
    return tmp_path


async def ask(path: str, *, static: Path = ABSENT, keys: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    app = Starlette(routes=demo.routes(static, keys))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        return await client.get(f"http://host{path}", **more)


@pytest.mark.parametrize("path", ["/demo", "/demo/"])
@pytest.mark.parametrize("keys", [None, DEV_KEYS])
async def test_a_page_that_is_not_built_names_the_command(path: str, keys: dict[str, str] | None) -> None:
    answer = await ask(path, keys=keys)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "make web" in answer.text
    assert "Node.js" in answer.text


async def test_an_empty_folder_is_no_page(tmp_path: Path) -> None:
    assert not demo.is_built(tmp_path)
    assert (await ask("/demo", static=tmp_path)).status_code == 404


async def test_a_page_that_is_built_is_served(built: Path) -> None:
    assert demo.is_built(built)
    page = await ask("/demo/", static=built)
    assert (page.status_code, page.text) == (200, "<h1>demo</h1>")
    script = await ask("/demo/app.js", static=built)
    assert script.headers["content-type"].startswith("text/javascript")
    assert (await ask("/demo/absent.js", static=built)).status_code == 404


@pytest.mark.parametrize(("path", "location"), [("/demo", "demo/"), ("/demo?room=a", "demo/?room=a")])
async def test_the_short_address_leads_to_the_page_and_keeps_the_query(built: Path, path: str, location: str) -> None:
    """By a relative address: a proxy in front has another scheme, another host and perhaps another path."""
    answer = await ask(path, static=built, headers={"host": "inside:7880"})
    assert (answer.status_code, answer.headers["location"]) == (307, location)


async def test_the_whole_application_has_the_routes(built: Path) -> None:
    engine = Engine(FakeCore(), NoUdp(), lambda _: None)
    app = make_app(engine, max_body_bytes=9, max_outbox_messages=9, static=built, demo_keys=DEV_KEYS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        assert (await client.get("http://host/demo/")).text == "<h1>demo</h1>"
        answer = await client.get("http://host/demo/token?room=r&identity=i", headers={"origin": "http://elsewhere"})
        assert answer.headers["access-control-allow-origin"] == "http://elsewhere"


class NoUdp:
    def send(self, batch: object) -> None:
        raise AssertionError

    def poll_drops(self) -> dict[Any, int]:
        return {}


# Tokens


def invitation(keys: dict[str, str], room: str = "lobby", issuer: str = "", **changes: Any) -> dict[str, str]:
    """The header that carries one."""
    issuer = issuer or next(iter(keys))
    now = time.time()
    claims = attrs.evolve(demo.guest(issuer, room, wallclock=now), **changes)
    return {"authorization": f"Bearer {mint(claims, keys[issuer], wallclock=now)}"}


def said(answer: httpx.Response, keys: dict[str, str]) -> Claims:
    assert answer.status_code == 200, answer.text
    return verify(answer.json()["token"], keys, time.time())


async def test_the_pair_that_everybody_knows_needs_no_invitation() -> None:
    claims = said(await ask("/demo/token?room=lobby&identity=ada-1&name=Ada%20L", keys=DEV_KEYS), DEV_KEYS)
    assert (claims.identity, claims.name) == ("ada-1", "Ada L")
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join, claims.video.can_publish) == ("lobby", True, None)
    assert 5 * 3600 < claims.expires_at - time.time() < 7 * 3600


@pytest.mark.parametrize("issuer", list(OWN_KEYS))
async def test_an_invitation_is_said_again_for_each_visitor(issuer: str) -> None:
    restricted = VideoGrant(room_join=True, room="lobby", can_publish=False)
    headers = invitation(OWN_KEYS, issuer=issuer, video=restricted, expires_at=time.time() + 99)
    for identity in ("ada-1", "ada-2"):
        claims = said(
            await ask(f"/demo/token?room=lobby&identity={identity}", keys=OWN_KEYS, headers=headers), OWN_KEYS
        )
        assert (claims.identity, claims.issuer, claims.video) == (identity, issuer, restricted)
        assert claims.expires_at - time.time() <= 100


REFUSED = [
    pytest.param({}, "invalid authorization token", id="none"),
    pytest.param({"authorization": "Basic abc"}, "invalid authorization header", id="other scheme"),
    pytest.param({"authorization": "Bearer abc"}, "invalid authorization token", id="no token"),
    pytest.param(invitation(OWN_KEYS, identity="alice"), "not the token of guest", id="somebody's token"),
    pytest.param(invitation(OWN_KEYS, room="attic"), "not the token of guest", id="other room"),
    pytest.param(invitation(OWN_KEYS, video=None), "not the token of guest", id="no grant"),
    pytest.param(invitation(OWN_KEYS, expires_at=1.0), "expired", id="old"),
    pytest.param(invitation({"APIone": "x" * 40}), "signature", id="other secret"),
    pytest.param(invitation(DEV_KEYS), "invalid API key", id="other key"),
]


@pytest.mark.parametrize(("headers", "text"), REFUSED)
async def test_without_a_good_invitation_there_is_no_token(headers: dict[str, str], text: str) -> None:
    answer = await ask("/demo/token?room=lobby&identity=ada", keys=OWN_KEYS, headers=headers)
    assert answer.status_code == 401
    assert text in answer.text


@pytest.mark.parametrize("query", ["", "?room=lobby", "?identity=ada", "?room=&identity=ada"])
async def test_room_and_identity_are_needed(query: str) -> None:
    assert (await ask(f"/demo/token{query}", keys=DEV_KEYS)).status_code == 400


@pytest.mark.parametrize("static", [ABSENT, None], ids=["not built", "built"])
async def test_only_development_gives_tokens(static: Path | None, built: Path) -> None:
    answer = await ask("/demo/token?room=lobby&identity=ada", static=static or built)
    assert answer.status_code == 404


def test_the_link_has_all_in_its_fragment() -> None:
    address = urlsplit(demo.link("127.0.0.1:7880", "a.b.c"))
    assert (address.netloc, address.path, address.query) == ("127.0.0.1:7880", "/demo/", "")
    assert parse_qs(address.fragment) == {"url": ["ws://127.0.0.1:7880"], "token": ["a.b.c"]}
