"""A node in virtual time, with clients on its sockets: what the tests of rooms, signalling and the API are written with.

The rig feeds the node one input at a time and carries out its commands at once, so that a client has what was sent to it as
soon as the call returns. Datagrams take `LATENCY_S`; time passes in `run` only.
"""

from __future__ import annotations

import gzip as gzip_module
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, TypeVar

import attrs
from google.protobuf import json_format
from google.protobuf.message import Message
from instant_handshake import InstantHandshake
from phone import CERTIFICATE, Phone, Published

from sansio import (
    Accept,
    Address,
    Close,
    Command,
    Config,
    Event,
    HttpRequest,
    Node,
    Reject,
    Respond,
    SeededEntropy,
    Send,
    SessionId,
)
from sansio.auth import Claims, VideoGrant, mint
from sansio.wire import models, rtc

KEY, SECRET = "api-key", "a secret that is long enough for HS256"
WALL = 1_700_000_000.0
SERVER: Address = ("192.0.2.100", 7882)
LATENCY_S = 0.005
ROOM = "room"
DisconnectReason = models.DisconnectReason
Action = rtc.LeaveRequest.Action
State = models.ParticipantInfo.State
M = TypeVar("M", bound=Message)
E = TypeVar("E")


def token(identity: str = "alice", room: str = ROOM, *, ttl: float = 600, now: float = 0.0, **given: Any) -> str:
    """A signed token that lets join; grants and claims by their names in `sansio.auth`."""
    names = {field.name for field in attrs.fields(VideoGrant)}
    grant: dict[str, Any] = {"room_join": True, "room": room} | {
        name: value for name, value in given.items() if name in names
    }
    claims = {name: value for name, value in given.items() if name not in names}
    made = Claims(issuer=KEY, identity=identity, video=VideoGrant(**grant), expires_at=WALL + now + ttl, **claims)
    return mint(made, SECRET, wallclock=WALL + now)


def wrap(join: rtc.JoinRequest | bytes, *, gzip: bool = True, padded: bool = True) -> str:
    """A `join_request` parameter."""
    inner = join if isinstance(join, bytes) else join.SerializeToString()
    compression = rtc.WrappedJoinRequest.Compression.GZIP if gzip else rtc.WrappedJoinRequest.Compression.NONE
    wrapped = rtc.WrappedJoinRequest(
        compression=compression, join_request=gzip_module.compress(inner, mtime=0) if gzip else inner
    )
    text = urlsafe_b64encode(wrapped.SerializeToString()).decode()
    return text if padded else text.rstrip("=")


class Client:
    """One client: its socket, what it was told, and perhaps a phone."""

    def __init__(self, rig: Rig, identity: str, room: str, phone: Phone | None = None) -> None:
        self.rig = rig
        self.identity = identity
        self.room = room
        self.phone = phone
        self.session = SessionId(0)
        self.answer: Accept | Reject | None = None
        self.closed: Close | None = None
        self.frames: list[bytes | str] = []
        self.messages: list[rtc.SignalResponse] = []

    # Acting

    def send(self, **request: Any) -> Client:
        """A `SignalRequest` with that field."""
        return self.send_frame(rtc.SignalRequest(**request).SerializeToString())

    def send_frame(self, frame: bytes | str) -> Client:
        self.rig.node.handle_message(self.rig.now, self.session, frame)
        self.rig.settle()
        return self

    def drop_socket(self) -> None:
        """The connection is lost."""
        self.rig.node.handle_disconnect(self.rig.now, self.session)
        self.rig.settle()

    def resume(self, *, sid: str = "", reason: int = 1, **given: Any) -> Client:
        """A new socket for the same session; forgets what was told before."""
        sid = sid or self.sid
        query = {"reconnect": "1", "sid": sid, "reconnect_reason": str(reason)}
        query |= {"protocol": "16", "sdk": "js", "version": "2.23.0"}
        if self.phone is not None and self.phone.is_single:
            join = rtc.JoinRequest(reconnect=True, participant_sid=sid, reconnect_reason=reason)  # type: ignore[arg-type]
            join.client_info.MergeFrom(models.ClientInfo(sdk=models.ClientInfo.SDK.JS, version="2.23.0", protocol=16))
            join.connection_settings.auto_subscribe = True
            given.setdefault("join", join)
            query = {}
        self.messages, self.frames, self.closed, self.answer = [], [], None, None
        self.rig.connect(self, query=query | given.pop("query", {}), **given)
        return self

    def publish(self, cid: str = "mic", kind: str = "audio", *, rids: tuple[str, ...] = (), source: int = 0,
                preferred: tuple[str, ...] = (), **given: Any) -> Published:  # fmt: skip
        """add_track and the offer, as browsers send them."""
        phone = self.media
        source = source or (models.TrackSource.MICROPHONE if kind == "audio" else models.TrackSource.CAMERA)
        number = models.TrackType.AUDIO if kind == "audio" else models.TrackType.VIDEO
        if rids and "layers" not in given:
            qualities = ("LOW", "MEDIUM", "HIGH") if len(rids) == 3 else ("LOW", "HIGH")
            given["layers"] = [
                models.VideoLayer(quality=q, width=320 << i, height=180 << i) for i, q in enumerate(qualities)
            ]
        self.send(add_track=rtc.AddTrackRequest(cid=cid, type=number, source=source, **given))  # type: ignore[arg-type]
        published = phone.add_publish(cid, kind, rids=rids, preferred=preferred)
        self.offer()
        return published

    def offer(self) -> None:
        self.send(offer=self.media.open_publisher().offer())

    # What was told

    @property
    def media(self) -> Phone:
        assert self.phone is not None, "this client has no phone"
        return self.phone

    @property
    def answered(self) -> bool:
        """Whether it was let in."""
        return isinstance(self.answer, Accept)

    def is_open(self) -> bool:
        """Whether the server has not closed the socket."""
        return self.closed is None

    @property
    def kinds(self) -> list[str]:
        """Names of the messages so far, in order."""
        return [message.WhichOneof("message") or "" for message in self.messages]

    def of(self, kind: str) -> list[Any]:
        """Contents of the messages of a kind so far."""
        return [getattr(message, kind) for message in self.messages if message.WhichOneof("message") == kind]

    def last(self, kind: str) -> Any:
        found = self.of(kind)
        assert found, f"{self.identity} got no {kind}, but {self.kinds}"
        return found[-1]

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.messages, self.frames = [], []

    @property
    def sid(self) -> str:
        return self._sid

    @property
    def updates(self) -> list[models.ParticipantInfo]:
        """Participant infos of all updates so far, in order."""
        return [info for update in self.of("update") for info in update.participants]

    def infos_of(self, identity: str) -> list[models.ParticipantInfo]:
        return [info for info in self.updates if info.identity == identity]

    @property
    def view(self) -> dict[str, models.ParticipantInfo]:
        """Who is here by what was told, as a client works it out (J-19, J-22, J-23)."""
        return self._view

    @property
    def track_sids(self) -> list[str]:
        """Of this client's own announced tracks."""
        return [track.sid for track in self.view[self.identity].tracks]

    # Fed by the rig

    def perform(self, command: Accept | Reject | Send | Close) -> None:
        match command:
            case Accept(frames=frames):
                self.answer = command
                for frame in frames:
                    self._take(frame)
            case Reject():
                self.answer = command
            case Send(frame=frame):
                assert self.answer is not None, "nothing is sent before the upgrade is answered"
                self._take(frame)
            case Close():
                self.closed = command

    def _take(self, frame: bytes | str) -> None:
        assert self.closed is None, "nothing is sent after the close"
        self.frames.append(frame)
        if isinstance(frame, str):
            message = json_format.Parse(frame, rtc.SignalResponse())
        else:
            message = rtc.SignalResponse.FromString(frame)
        self.messages.append(message)
        self._learn(message)

    def _learn(self, message: rtc.SignalResponse) -> None:
        match message.WhichOneof("message"):
            case "join":
                self._sid = message.join.participant.sid
                infos = [message.join.participant, *message.join.other_participants]
                self._view = {info.identity: info for info in infos}
            case "reconnect":
                self._view = {}
            case "update":
                for info in message.update.participants:
                    self._learn_info(info)
            case _:
                pass

    def _learn_info(self, info: models.ParticipantInfo) -> None:
        known = self._view.get(info.identity)
        if known is not None and known.sid == info.sid and known.version > info.version:
            return
        if info.state == State.DISCONNECTED:
            if known is not None and known.sid == info.sid:
                del self._view[info.identity]
        else:
            self._view[info.identity] = info

    _sid = ""
    _view: dict[str, models.ParticipantInfo]


class Rig:
    """A node and its surroundings."""

    def __init__(self, config: Config | None = None, *, seed: int | str = 1, openssl: bool = False) -> None:
        """With `openssl` the node shakes hands as in earnest; phones never do."""
        self.now = 0.0
        self.config = config or Config(keys={KEY: SECRET})
        self.node = Node(
            self.config,
            entropy=SeededEntropy(f"node {seed}"),
            wallclock_offset=WALL,
            certificate=CERTIFICATE,
            handshake=None if openssl else InstantHandshake,
        )
        self.node.add_socket(SERVER, [SERVER])
        self.clients: list[Client] = []
        self.events: list[Event] = []
        self.closes: list[Close] = []
        """Sockets of clients closed so far, replaced ones included."""
        self.responses: dict[int, Respond] = {}
        self.lost: Callable[[Address, Address], bool] = lambda source, destination: False
        """Whether a datagram from one address to another is lost."""
        self._flying: list[tuple[float, int, Address, Address, bytes]] = []
        self._phones: dict[str, Phone] = {}
        self._by_session: dict[SessionId, Client] = {}
        self._workers: dict[SessionId, list[Command]] = {}
        self._order = 0
        self._next_session = 0
        self._next_ref = 0

    # Clients

    def join(self, identity: str = "alice", room: str = ROOM, *, media: bool = False, v1: bool = False, protocol: int = 16,
             query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
             join: rtc.JoinRequest | None = None, settings: Mapping[str, Any] | None = None,
             mimes: tuple[str, ...] = (), announce: bool = True, **given: Any) -> Client:  # fmt: skip
        """A client that joins; with `media` it also has a phone, which connects as time passes. Without `announce` it does
        not offer its publisher connection by itself."""
        phone = self._new_phone(identity, is_single=v1) if media else None
        if phone is not None:
            phone.mimes = mimes
        client = Client(self, identity, room, phone)
        self.clients.append(client)
        if v1 and join is None:
            join = rtc.JoinRequest(client_info=models.ClientInfo(sdk=models.ClientInfo.SDK.JS, protocol=protocol))
            join.connection_settings.MergeFrom(
                rtc.ConnectionSettings(**{"auto_subscribe": True} | dict(settings or {}))
            )
            if phone is not None:
                join.publisher_offer.CopyFrom(phone.open_publisher().offer())
        parameters = {} if v1 else {"protocol": str(protocol), "sdk": "js"} | dict(query or {})
        self.connect(client, query=parameters, headers=headers, join=join, **given)
        if phone is not None and not v1 and client.answered and announce:
            client.send(offer=phone.open_publisher().offer())
        return client

    def connect(self, client: Client, *, path: str = "", query: Mapping[str, str] | None = None, jwt: str | None = None,
                headers: Mapping[str, str] | None = None, join: rtc.JoinRequest | None = None, **given: Any) -> None:  # fmt: skip
        """An upgrade request of the client, on a new socket."""
        self._next_session += 1
        client.session = SessionId(self._next_session)
        self._by_session[client.session] = client
        parameters = {
            "access_token": token(client.identity, client.room, now=self.now, **given) if jwt is None else jwt
        }
        parameters |= query or {}
        if join is not None:
            parameters["join_request"] = wrap(join)
        path = path or ("/rtc/v1" if join is not None else "/rtc")
        request = HttpRequest(method="GET", path=path, query=parameters, headers=dict(headers or {}))
        self.node.handle_connect(self.now, client.session, request)
        self.settle()

    def connect_worker(self, jwt: str = "", *, headers: Mapping[str, str] | None = None) -> SessionId:
        """An upgrade request on `/agent`; what comes back is in `worker`."""
        self._next_session += 1
        session = SessionId(self._next_session)
        self._workers[session] = []
        query = {"access_token": jwt} if jwt else {}
        request = HttpRequest(method="GET", path="/agent", query=query, headers=dict(headers or {}))
        self.node.handle_connect(self.now, session, request)
        self.settle()
        return session

    def worker(self, session: SessionId) -> list[Command]:
        return self._workers[session]

    def _new_phone(self, name: str, *, is_single: bool) -> Phone:
        host = f"198.51.100.{len(self._phones) + 1}"
        phone = self._phones[host] = Phone(name, host, self.now, self._transmit, is_single=is_single)
        return phone

    # HTTP

    def request(self, method: str = "GET", path: str = "/", *, query: Mapping[str, str] | None = None,
                headers: Mapping[str, str] | None = None, body: bytes = b"") -> Respond:  # fmt: skip
        """An HTTP request that is answered at once."""
        answer = self.responses.get(self.start_request(method, path, query=query, headers=headers, body=body))
        assert answer is not None, "not answered yet"
        return answer

    def start_request(self, method: str, path: str, *, query: Mapping[str, str] | None = None,
                      headers: Mapping[str, str] | None = None, body: bytes = b"") -> int:  # fmt: skip
        """An HTTP request; its answer will be in `responses` under the number returned."""
        self._next_ref += 1
        request = HttpRequest(method=method, path=path, query=dict(query or {}), headers=dict(headers or {}), body=body)
        self.node.handle_request(self.now, self._next_ref, request)
        self.settle()
        return self._next_ref

    # Time

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, done: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Step to the next arrival or deadline until `done`, or so much time is over; whether it was done."""
        end = self.now + seconds
        self.settle()
        while not done():
            at = min(self._deadlines(), default=end)
            if at > end:
                self.now = end
                return done()
            self.now = max(self.now, at)
            for phone in self._phones.values():
                phone.now = self.now
            self._deliver()
            due = self.node.poll_timeout()
            if due is not None and due <= self.now:
                self.node.handle_timeout(self.now)
            for phone in self._phones.values():
                phone.handle_timeout()
            self.settle()
            if at >= end:
                return done()
        return True

    def settle(self) -> None:
        """Carry out what the node and the phones have put out."""
        while True:
            commands = self.node.poll_commands()
            for command in commands:
                self.perform(command)
            self.events += self.node.poll_events()
            for batch in self.node.poll_transmits():
                for local, remote, data in batch:
                    self._transmit(local, remote, data)
            for phone in self._phones.values():
                phone.now = self.now
                phone.settle()
            if not commands:
                return

    def perform(self, command: Command) -> None:
        """Carry out one command of the node."""
        if isinstance(command, Respond):
            assert command.ref not in self.responses, "answered twice"
            self.responses[command.ref] = command
        elif isinstance(command, Close) and self._by_session.get(command.session) is not None:
            self.closes.append(command)
            if self._by_session[command.session].session == command.session:
                self._by_session[command.session].perform(command)
        elif command.session in self._workers:
            self._workers[command.session].append(command)
        else:
            client = self._by_session[command.session]
            assert command.session == client.session, "an older socket is only closed"
            count = len(client.messages)
            client.perform(command)
            if client.phone is not None:
                for message in client.messages[count:]:
                    for request in client.phone.handle(message):
                        self.node.handle_message(self.now, client.session, request.SerializeToString())

    def _deadlines(self) -> list[float]:
        deadlines = [phone.poll_timeout() for phone in self._phones.values()]
        deadlines.append(self.node.poll_timeout())
        if self._flying:
            deadlines.append(self._flying[0][0])
        return [at for at in deadlines if at is not None]

    def _transmit(self, source: Address, destination: Address, data: bytes) -> None:
        if not self.lost(source, destination):
            self._order += 1
            heappush(self._flying, (self.now + LATENCY_S, self._order, source, destination, data))

    def _deliver(self) -> None:
        batch = []
        while self._flying and self._flying[0][0] <= self.now:
            _, _, source, destination, data = heappop(self._flying)
            if destination == SERVER:
                batch.append((SERVER, source, data))
            elif destination[0] in self._phones:
                self._phones[destination[0]].deliver(destination, source, data)
        if batch:
            self.node.handle_datagrams(self.now, batch)

    # Looking

    def rooms(self) -> list[str]:
        return list(self.node.rooms)

    def event(self, kind: type[E]) -> list[E]:
        """The node's events of one class so far."""
        return [event for event in self.events if isinstance(event, kind)]


def configured(**parts: Any) -> Config:
    """A configuration with changed parts: `limit=LimitConfig(...)`, or `room=...` and so on."""
    return attrs.evolve(Config(keys={KEY: SECRET}), **parts)
