"""Twirp: routes to methods, requests and replies in protobuf or JSON, errors in JSON (Twirp v7 wire protocol).

Who asks is checked before what is asked: a wrong token gets its 401 on every path.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import attrs
from google.protobuf.message import Message

from ..auth import Claims
from ..errors import Refusal
from ..outputs import HttpRequest, Respond
from ..wire import WireError, encode_twirp_json, parse, parse_json

PREFIX = "/twirp/"
PROTOBUF = "application/protobuf"
JSON = "application/json"


@attrs.frozen(kw_only=True)
class Call:
    """One decoded request."""

    ref: int
    claims: Claims | None
    message: Message
    is_json: bool
    method: str
    """Service and method."""
    timeout_ms: int | None = None
    """How long the caller waits, if it says so. For calls that are not answered at once."""


Reply: TypeAlias = Message | None
"""None: the answer comes later."""
Method: TypeAlias = Callable[[float, Call], Reply]


def encode_reply(ref: int, message: Message, is_json: bool) -> Respond:
    body = encode_twirp_json(message) if is_json else message.SerializeToString()
    return Respond(ref=ref, status=200, body=body, content_type=JSON if is_json else PROTOBUF)


def encode_refusal(ref: int, refusal: Refusal) -> Respond:
    value: dict[str, object] = {"code": refusal.code, "msg": refusal.message}
    if refusal.meta:
        value["meta"] = refusal.meta
    return Respond(ref=ref, status=refusal.status, body=json.dumps(value).encode(), content_type=JSON)


def bad_route(request: HttpRequest, message: str) -> Refusal:
    return Refusal("bad_route", message, meta={"twirp_invalid_route": f"{request.method} {request.path}"})


def timeout_of(request: HttpRequest) -> int | None:
    """The caller's `X-Twirp-Timeout-Ms`; None if it has none that is a number above 0."""
    text = request.headers.get("x-twirp-timeout-ms", "").strip()
    return int(text) or None if text.isascii() and text.isdecimal() and len(text) < 10 else None


def decode(request: HttpRequest, message_type: type[Message]) -> tuple[Message, bool]:
    """The request's message, and whether it came as JSON. Raises Refusal."""
    if request.method != "POST":
        raise bad_route(request, f'unsupported method "{request.method}" (only POST is allowed)')
    media_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if media_type not in (PROTOBUF, JSON):
        raise bad_route(request, f'unexpected Content-Type: "{request.headers.get("content-type", "")}"')
    is_json = media_type == JSON
    try:
        return (parse_json if is_json else parse)(message_type, request.body), is_json
    except WireError:
        kind = "json" if is_json else "protobuf"
        raise Refusal("malformed", f"the {kind} request could not be decoded") from None
