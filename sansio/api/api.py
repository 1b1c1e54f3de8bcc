"""The HTTP API of a node: health, Twirp services, and a helpful 404 for the rest."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from ..agents import Agents
from ..auth import bearer, verify
from ..config import Config
from ..errors import Refusal
from ..events import Event, RequestServed
from ..outputs import Command, HttpRequest, Respond
from ..room import Rooms, RpcResult
from .dispatch import DispatchService
from .rooms import RoomService, rpc_reply
from .services import ABSENT, refuse_absent
from .twirp import PREFIX, Call, Method, bad_route, decode, encode_refusal, encode_reply, timeout_of

PAGE_NOT_FOUND = b"404 page not found\n"


class Api:
    """Answers plain HTTP requests."""

    __slots__ = ("_config", "_events", "_open_calls", "_rooms", "_services")

    def __init__(self, config: Config, rooms: Rooms, agents: Agents) -> None:
        self._config = config
        self._rooms = rooms
        self._services: dict[str, dict[str, tuple[type[Message], Method]]] = {
            "RoomService": RoomService(config, rooms, agents).methods,
            "AgentDispatchService": DispatchService(config, rooms, agents).methods,
        }
        self._open_calls: dict[int, Call] = {}
        self._events: list[Event] = []

    def handle_request(self, now: float, ref: int, request: HttpRequest) -> list[Command]:
        """Answer now, or later for calls that wait for a participant."""
        try:
            token = bearer(request.headers, request.query)
            claims = None
            if token is not None:
                claims = verify(token, self._config.keys, self._rooms.context.wallclock.seconds(now))
        except Refusal as refusal:
            return [Respond(ref=ref, status=refusal.status, body=refusal.message.encode())]
        if request.path == "/":
            return [self._health(ref, request)]
        if not request.path.startswith(PREFIX):
            return [Respond(ref=ref, status=404, body=PAGE_NOT_FOUND)]
        service, _, method = request.path.removeprefix(f"{PREFIX}livekit.").partition("/")
        if service not in self._services and service not in ABSENT:
            return [Respond(ref=ref, status=404, body=PAGE_NOT_FOUND)]
        call = Call(ref=ref, claims=claims, message=Empty(), is_json=False, method=f"{service}.{method}")
        try:
            return self._serve(now, call, request, service, method)
        except Refusal as refusal:
            return [self._refuse(call, refusal)]

    def _serve(self, now: float, call: Call, request: HttpRequest, service: str, method: str) -> list[Command]:
        known = self._services.get(service, {}).get(method)
        if known is None and method not in ABSENT.get(service, ()):
            raise bad_route(request, f'no handler for path "{request.path}"')
        message, is_json = decode(request, Empty if known is None else known[0])
        call = attrs.evolve(call, message=message, is_json=is_json, timeout_ms=timeout_of(request))
        if known is None:
            refuse_absent(service, method, call)
            return []
        reply = known[1](now, call)
        if reply is None:
            self._open_calls[call.ref] = call
            return []
        self._events.append(RequestServed(method=call.method, status=200, code="ok"))
        return [encode_reply(call.ref, reply, is_json)]

    def handle_rpc_results(self, results: Iterable[RpcResult]) -> list[Command]:
        """RPC calls that ended."""
        answers: list[Command] = []
        for result in results:
            call = self._open_calls.pop(result.ref, None)
            if call is None:
                continue
            try:
                answers.append(encode_reply(call.ref, rpc_reply(result), call.is_json))
                self._events.append(RequestServed(method=call.method, status=200, code="ok"))
            except Refusal as refusal:
                answers.append(self._refuse(call, refusal))
        return answers

    def poll_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _refuse(self, call: Call, refusal: Refusal) -> Respond:
        self._events.append(RequestServed(method=call.method, status=refusal.status, code=refusal.code))
        return encode_refusal(call.ref, refusal)

    @staticmethod
    def _health(ref: int, request: HttpRequest) -> Respond:
        if request.method not in ("GET", "HEAD"):
            return Respond(ref=ref, status=404, body=PAGE_NOT_FOUND)
        return Respond(ref=ref, status=200, body=b"OK")
