"""The demo page at `/demo`: its files, its link, and tokens for those who open it.

The link that `atrium dev` prints has a guest's token in it. Two who join with one identity put each other out, so the page
asks for the same token under an identity of its own each time that it is opened. Only a development server gives any.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import attrs
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sansio.auth import Claims, TokenError, VideoGrant, bearer, mint, verify

from .config import DEV_KEYS

STATIC = Path(__file__).parent / "static"
GUEST = "guest"
"""Identity of the token in the link. Nobody joins as this."""
TOKEN_SECONDS = 6 * 3600


def is_built(static: Path = STATIC) -> bool:
    return (static / "index.html").is_file()


def routes(static: Path, keys: Mapping[str, str] | None) -> list[BaseRoute]:
    """What is below `/demo`; with `keys`, tokens too."""
    tokens = [Route("/demo/token", _Tokens(keys).answer)] if keys else []
    if not is_built(static):
        return [*tokens, Route("/demo", _not_built), Route("/demo/", _not_built)]
    return [
        *tokens,
        Route("/demo", lambda request: RedirectResponse(_below(request))),
        Mount("/demo", app=StaticFiles(directory=static, html=True)),
    ]


def link(host: str, token: str) -> str:
    """The page with all filled in. What stands in the fragment is not sent to any server, and so is in no log."""
    return f"http://{host}/demo/#url=ws://{host}&token={token}"


def guest(issuer: str, room: str, *, wallclock: float) -> Claims:
    """What an invitation says."""
    grant = VideoGrant(room_join=True, room=room, can_update_own_metadata=True)
    return Claims(issuer=issuer, identity=GUEST, video=grant, expires_at=wallclock + TOKEN_SECONDS)


def _below(request: Request) -> str:
    """The page itself. Without a host, since behind a proxy neither scheme nor host are those of the browser."""
    return f"demo/?{request.url.query}" if request.url.query else "demo/"


class _Tokens:
    """Says the guest's token again for somebody else. The pair that everybody knows needs no invitation."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    async def answer(self, request: Request) -> Response:
        query, now = request.query_params, time.time()
        identity, name = query.get("identity", ""), query.get("name", "")
        if not query.get("room") or not identity:
            return PlainTextResponse("room and identity are needed", 400)
        try:
            invitation = self._invitation(request, query["room"], now)
        except TokenError as error:
            return PlainTextResponse(error.message, 401)
        claims = attrs.evolve(invitation, identity=identity, name=name)
        return JSONResponse({"token": mint(claims, self._keys[claims.issuer], wallclock=now)})

    def _invitation(self, request: Request, room: str, now: float) -> Claims:
        token = bearer(request.headers, {})
        issuer, secret = next(iter(self._keys.items()))
        if token is None and DEV_KEYS.get(issuer) == secret:
            return guest(issuer, room, wallclock=now)
        claims = verify(token or "", self._keys, now)
        if claims.identity != GUEST or claims.video is None or claims.video.room != room:
            raise TokenError(f"not the token of {GUEST} for this room")
        return claims


async def _not_built(_: Request) -> Response:
    return HTMLResponse(_NOT_BUILT, 404)


_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atrium demo</title>
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem }
</style>
<h1>The demo is not built</h1>
<p>The server runs. Its demo page is built from <code>examples/web</code>, which needs Node.js and npm:</p>
<pre>make web</pre>
<p>Then start the server again.</p>
"""
