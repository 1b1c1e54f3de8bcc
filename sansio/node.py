"""The node: routes each input to its owner and merges what comes out. It holds no policy.

    datagrams ----------> Endpoint --transport events--> Rooms
    upgrade requests ---> SignalSessions, Agents --> Rooms
    frames -------------> SignalSessions, Agents
    HTTP requests ------> Api ------------------> Rooms, Agents
    rooms' events ------> Agents --removals-----> Rooms

Contract: time never goes back; several inputs may be fed before draining; drain all three lists (`poll_transmits`,
`poll_commands`, `poll_events`) before sleeping until `poll_timeout`. Nothing raises for what a peer sent. The same inputs,
entropy and clock give the same outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from .agents import Agents
from .api import Api
from .config import Config
from .dtls import Certificate, HandshakeFactory, OpenSslHandshake
from .entropy import Entropy
from .errors import DropReason, Refusal
from .events import Dropped, Event, RoomStarted
from .ice import Candidate
from .ids import SessionId, mint_node
from .kernel import Kernel, PureKernel
from .outputs import Address, Batch, Close, Command, HttpRequest, Reject, Respond
from .room import DisconnectReason, RoomContext, Rooms
from .sdp import server_capabilities
from .signalling import SignalSessions
from .transport import Endpoint
from .wallclock import WallClock
from .wire import models

SIGNAL_PATHS = ("/rtc", "/rtc/v1")
VALIDATE_PATHS = ("/rtc/validate", "/rtc/v1/validate")
WORKER_PATH = "/agent"
NOT_FOUND = "404 page not found\n"
ONLY_WEBSOCKETS = b"404 only WebSockets are answered here\n"


class _Lookup:
    """What jobs tell about rooms and who is in them."""

    __slots__ = ("_rooms",)

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def room_info(self, room: str) -> models.Room | None:
        known = self._rooms.get(room)
        return None if known is None else known.room_info()

    def participant_info(self, room: str, identity: str) -> models.ParticipantInfo | None:
        known = self._rooms.get(room)
        member = None if known is None else known.member(identity)
        return None if member is None else member.participant.info()


class Node:
    """One media server, without I/O."""

    __slots__ = (
        "_agents", "_api", "_commands", "_config", "_endpoint", "_events", "_is_open", "_kernel", "_rooms", "_signals",
        "_wallclock", "id",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        *,
        entropy: Entropy,
        wallclock_offset: float,
        kernel: Kernel | None = None,
        certificate: Certificate | None = None,
        handshake: HandshakeFactory | None = None,
    ) -> None:
        """`wallclock_offset`: Unix time minus the monotonic time that `now` is."""
        self._config = config
        self._wallclock = WallClock(wallclock_offset)
        self._kernel = PureKernel(entropy) if kernel is None else kernel
        self._endpoint = Endpoint(
            kernel=self._kernel,
            certificate=certificate or Certificate.generate(wallclock_offset),
            handshake=handshake or partial(OpenSslHandshake, timeout=config.rtc.dtls_handshake_timeout),
            entropy=entropy,
            config=config.rtc,
            limit=config.limit,
        )
        self.id = mint_node(entropy)
        mimes = [codec.mime for codec in config.room.enabled_codecs]
        context = RoomContext(
            config=config,
            kernel=self._kernel,
            endpoint=self._endpoint,
            entropy=entropy,
            wallclock=self._wallclock,
            capabilities=server_capabilities(mimes),
            delay_capabilities=server_capabilities(mimes, use_playout_delay=True),
        )
        self._rooms = Rooms(context)
        self._signals = SignalSessions(config, self._rooms, self.id)
        self._agents = Agents(config, entropy, self._wallclock, self.id, _Lookup(self._rooms))
        self._api = Api(config, self._rooms, self._agents)
        self._commands: list[Command] = []
        self._events: list[Event] = []
        self._is_open = True

    # Sockets

    def add_socket(self, local: Address, advertised: Sequence[Address]) -> None:
        """A bound UDP socket, and the addresses at which clients reach it."""
        for address in advertised:
            self._endpoint.add_local(Candidate.host(address), local)

    # Inputs

    def handle_datagrams(
        self, now: float, batch: Iterable[tuple[Address, Address, bytes]], arrivals: Sequence[float] = ()
    ) -> None:
        """Datagrams that were read together: (local, remote, data) each. `arrivals` says when each came, if the driver
        knows it; publishers find their bandwidth sooner and keep it under load."""
        self._endpoint.handle_datagrams(now, batch, arrivals)
        if self._endpoint.has_news:
            self._settle(now)

    def handle_datagram(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        self.handle_datagrams(now, ((local, remote, data),))

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> None:
        """A client wants to upgrade to a WebSocket; answered by `Accept` or `Reject`."""
        if request.path in SIGNAL_PATHS:
            self._commands += self._signals.handle_connect(now, session, request)
        elif request.path == WORKER_PATH:
            self._agents.handle_connect(now, session, request)
        else:
            self._commands.append(Reject(session=session, status=404, body=NOT_FOUND))
        self._settle(now)

    def handle_message(self, now: float, session: SessionId, data: bytes | str) -> None:
        """One WebSocket frame: bytes of a binary one, str of a text one."""
        if session in self._agents:
            self._agents.handle_message(now, session, data)
        else:
            self._commands += self._signals.handle_message(now, session, data)
        self._settle(now)

    def handle_disconnect(self, now: float, session: SessionId) -> None:
        """The WebSocket is gone without a `Close` of ours."""
        owner = self._agents if session in self._agents else self._signals
        owner.handle_disconnect(now, session)
        self._settle(now)

    def handle_request(self, now: float, ref: int, request: HttpRequest) -> None:
        """A plain HTTP request; answered by a `Respond` with the same `ref`, perhaps later."""
        if request.path in VALIDATE_PATHS:
            self._commands.append(self._validate(now, ref, request))
        elif request.path in (*SIGNAL_PATHS, WORKER_PATH):
            self._commands.append(self._not_an_upgrade(now, ref, request))
        else:
            self._commands += self._api.handle_request(now, ref, request)
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        """Time has come to `poll_timeout`."""
        self._endpoint.handle_timeout(now)
        self._rooms.handle_timeout(now)
        self._agents.handle_timeout(now)
        self._settle(now)

    # Commands

    def set_wallclock(self, offset: float) -> None:
        """Correct Unix time: the new difference to `now`."""
        self._wallclock.offset = offset

    def drain(self, now: float) -> None:  # noqa: ARG002
        """Refuse new joins from now on."""
        self._signals.is_draining = True

    def close(self, now: float) -> None:
        """Tell everybody that the server ends, and end all rooms."""
        self._signals.is_draining = True
        self._is_open = False
        self._rooms.close(now, DisconnectReason.SERVER_SHUTDOWN)
        self._settle(now)
        self._agents.close(now)
        self._commands += self._agents.poll_commands()

    # Outputs

    def poll_transmits(self) -> list[Batch]:
        """Datagrams to send, in order."""
        return self._endpoint.poll_transmits()

    def poll_commands(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands

    def poll_events(self) -> list[Event]:
        """What happened since the last call, dropped input included."""
        events, self._events = self._events, []
        drops = self._poll_drops()
        for reason in sorted(drops, key=lambda each: each.name):  # in an order that no kernel decides
            events.append(Dropped(reason=reason, count=drops[reason]))
        return events

    def poll_timeout(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        deadlines = (self._endpoint.poll_timeout(), self._rooms.poll_timeout(), self._agents.poll_timeout())
        return min((at for at in deadlines if at is not None), default=None)

    # Getters

    @property
    def rooms(self) -> tuple[str, ...]:
        return tuple(room.name for room in self._rooms)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in any room."""
        return all(room.is_empty for room in self._rooms)

    def stats(self) -> dict[str, int]:
        """Counts for operators."""
        rooms = list(self._rooms)
        return {
            "rooms": len(rooms),
            "participants": sum(len(room.members) for room in rooms),
            "tracks": self._rooms.num_tracks,
            "subscriptions": sum(len(m.subscriber.subscriptions) for room in rooms for m in room.members.values()),
            "transports": len(self._endpoint),
            "sessions": len(self._signals),
            "workers": len(self._agents),
            "jobs": self._agents.num_running,
        }

    def next_timer(self) -> tuple[float, str] | None:
        """The next deadline and whose it is, for logs."""
        owners = (("endpoint", self._endpoint.poll_timeout()), ("rooms", self._rooms.poll_timeout()),
                  ("agents", self._agents.poll_timeout()))  # fmt: skip
        due = [(at, owner) for owner, at in owners if at is not None]
        return min(due, default=None)

    # Private

    def _settle(self, now: float) -> None:
        """Let consequences run until all is quiet, then gather what sockets are to be given."""
        self._rooms.handle_peer_events(now, self._endpoint.poll_events())
        self._settle_rooms(now)
        while self._tell_agents(now):
            self._settle_rooms(now)
        self._commands += self._api.handle_rpc_results(self._rooms.poll_rpc_results())
        self._commands += self._agents.poll_commands()
        self._events += self._signals.poll_events()
        self._events += self._agents.poll_events()
        self._events += self._api.poll_events()

    def _settle_rooms(self, now: float) -> None:
        self._signals.refresh_tokens(now, self._rooms.settle(now))
        for command in self._rooms.flush():
            if isinstance(command, Close):
                self._signals.forget(command.session)
            self._commands.append(command)

    def _tell_agents(self, now: float) -> bool:
        """What happened in rooms may want agents, or end their jobs; whether agents were taken out of rooms for it."""
        for event in self._rooms.poll_events():
            if isinstance(event, RoomStarted):
                room = self._rooms.get(event.room)
                self._agents.room_started(now, event.sid, event.room, () if room is None else room.options.agents)
            else:
                self._agents.handle_event(now, event)
            self._events.append(event)
        removals = self._agents.poll_removals()
        for removal in removals:
            self._rooms.remove(now, removal.room, removal.identity, removal.sid)
        return bool(removals)

    def _validate(self, now: float, ref: int, request: HttpRequest) -> Respond:
        try:
            self._signals.validate(now, request)
        except Refusal as refusal:
            return Respond(ref=ref, status=refusal.status, body=refusal.message.encode())
        return Respond(ref=ref, status=200, body=b"success")

    def _not_an_upgrade(self, now: float, ref: int, request: HttpRequest) -> Respond:
        """A plain request for a socket's path: the socket's refusal, or 404 where it would have been let in."""
        if request.path in SIGNAL_PATHS:
            answer = self._validate(now, ref, request)
            if answer.status != 200:
                return answer
        return Respond(ref=ref, status=404, body=ONLY_WEBSOCKETS)

    def _poll_drops(self) -> dict[DropReason, int]:
        total = self._endpoint.poll_drops()
        of_agents = self._agents.poll_drops()
        if not (self._rooms.drops or self._signals.drops or of_agents):
            return total
        for drops in (self._rooms.drops, self._signals.drops, of_agents):
            for reason, count in drops.items():
                total[reason] = total.get(reason, 0) + count
        self._rooms.drops, self._signals.drops = {}, {}
        return total
