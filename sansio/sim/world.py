"""A world in virtual time: nodes, clients, and the networks between them.

    world = World(seed=7, link=Link(latency=0.040, loss=0.05))
    world.add_node("n1")
    alice, bob = world.join("room", "alice"), world.join("room", "bob")
    alice.publish_video(frames=60)
    world.run_until(lambda: bob.frames_from(alice) == 60, deadline=5.0)

Theory of operation. Everything that happens is an arrival (a datagram, a signal frame, a socket that opens or closes) or a
deadline. Arrivals lie in one heap, deadlines of nodes and clients in another; `run_until` goes from one moment to the next, gives
what is due to whom it concerns, and carries away what they put out at once. Moments lie on a grid of `tick` seconds, as in a
driver that reads all that has arrived when it wakes.

All chance comes from the seed, so that a run repeats: `digest` is a hash over everything delivered, sent and reported, with the
times, and is the same for the same program in every process. That holds for the handshake of `SeededDtls`; with
`openssl=True` real handshakes are used, whose bytes differ from run to run. Failures say the seed.

In debug mode (Python without -O) nodes are guarded: see `guard`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from heapq import heappop, heappush
from math import ceil
from struct import Struct
from typing import Any, TypeAlias

import attrs

from ..auth import Claims, VideoGrant, mint
from ..config import Config
from ..dtls import Certificate, HandshakeFactory, OpenSslHandshake
from ..entropy import SeededEntropy
from ..events import Event
from ..ids import SessionId
from ..node import Node
from ..outputs import Accept, Address, Close, HttpRequest, Reject, Respond, Send, Transmit
from ..timers import DeadlineHeap
from .client import Client
from .guard import GuardedNode
from .handshake import SeededDtls
from .link import Link, Pipe
from .participant import Participant
from .session import ClientEvent, ClientOptions, CloseSocket, OpenSocket, SendFrame

WALLCLOCK = 1_750_000_000.0
"""Unix time at virtual time 0."""
API_KEY, API_SECRET = "simulation", "a secret that only simulations share, of 64 characters or so"
TOKEN_LIFETIME_S = 6 * 3600.0
TICK_S = 0.001
_TIME = Struct("!d")


class Stuck(AssertionError):  # noqa: N818 - reads well where tests fail
    """What was waited for did not happen in time."""


class SimNode:
    """A node of a world."""

    __slots__ = ("address", "events", "events_kept", "name", "node", "responses", "sessions")

    def __init__(self, name: str, node: Node | GuardedNode, address: Address) -> None:
        self.name = name
        self.node = node
        self.address = address
        self.events: list[Event] = []
        """All that it reported, in order."""
        self.responses: dict[int, Respond] = {}
        self.sessions: dict[SessionId, Seat] = {}

    def events_of(self, kind: type[Any]) -> list[Any]:
        """The events of one class so far."""
        return [event for event in self.events if isinstance(event, kind)]


class Seat:
    """A client of a world, with its place in the network."""

    __slots__ = ("client", "down", "events", "host", "name", "node", "session", "up")

    def __init__(self, name: str, client: Client, node: SimNode, up: Pipe, down: Pipe) -> None:
        self.name = name
        self.client = client
        self.node = node
        self.host = client.address[0]
        """As the server sees it; a NAT may change it."""
        self.up = up
        self.down = down
        self.session: SessionId | None = None
        """Of the socket that the client has or is opening."""
        self.events: list[ClientEvent] = []


Machine: TypeAlias = SimNode | Seat
Action: TypeAlias = Callable[[], None]


class World:
    """See the module's text."""

    def __init__(
        self, *, seed: int | str = 0, link: Link | None = None, openssl: bool = False, tick: float = TICK_S,
        guarded: bool = __debug__, record: bool = False,
    ) -> None:  # fmt: skip
        """`link` is the way between any client and its node where a join does not name another. With `record` all that goes
        into the digest is kept in `history`, so that two runs can be compared."""
        self.seed = seed
        self.now = 0.0
        self.nodes: dict[str, SimNode] = {}
        self.participants: list[Participant] = []
        self.lost = 0
        """Datagrams to addresses that nobody has."""
        self._link = link or Link()
        self._tick = tick
        self._guarded = guarded
        self._entropy = SeededEntropy(f"world {seed}")
        self._dtls = None if openssl else SeededDtls(f"world {seed}")
        self._arrivals: list[tuple[float, int, Machine, Transmit | Action]] = []
        self._order = 0
        self._deadlines: DeadlineHeap[Machine] = DeadlineHeap()
        self._nodes: dict[Address, SimNode] = {}
        self._seats: dict[str, Seat] = {}
        self._configs: dict[str, Config] = {}
        self._restarts = 0
        self._next_session = 1
        self._next_ref = 1
        self._hash = blake2b(digest_size=16)
        self._records = record
        self.history: list[tuple[float, str, bytes]] = []
        """When, what kind of thing, and its bytes."""

    # Building

    def add_node(self, name: str, config: Config | None = None) -> SimNode:
        """A server, ready for clients."""
        address = (f"192.0.2.{len(self.nodes) + 1}", 7882)
        added = self.nodes[name] = self._nodes[address] = SimNode(name, self._new_node(name, address, config), address)
        self._configs[name] = config or Config()
        self._flush(added)
        return added

    def restart_node(self, name: str) -> None:
        """The server ends without a word, and a new one takes its place, which knows nobody. Sockets break."""
        home = self.nodes[name]
        seats, home.sessions = home.sessions, {}
        self._restarts += 1
        home.node = self._new_node(f"{name} {self._restarts}", home.address, self._configs[name])
        for session, seat in seats.items():
            if seat.session == session:
                seat.session = None
                seat.client.handle_socket_closed(self.now)
                self._flush(seat)
        self._flush(home)

    def join(
        self, room: str, identity: str, *, node: str = "", link: Link | None = None, down: Link | None = None,
        grant: VideoGrant | None = None, claims: Mapping[str, Any] | None = None, **options: Any,
    ) -> Participant:  # fmt: skip
        """A client that joins now. `link` is its way up and, without `down`, its way down too; `grant` what its token allows
        beyond joining the room, `claims` further claims of the token; `options` are those of `ClientOptions`."""
        participant = self.add_client(
            room, identity, node=node, link=link, down=down, grant=grant, claims=claims, **options
        )
        participant.join()
        return participant

    def add_client(
        self, room: str, identity: str, *, node: str = "", link: Link | None = None, down: Link | None = None,
        grant: VideoGrant | None = None, claims: Mapping[str, Any] | None = None, **options: Any,
    ) -> Participant:  # fmt: skip
        """A client that has not joined yet."""
        number = len(self.participants) + 1
        name = f"{identity}#{number}"
        entropy = self._entropy.child(f"client {name}")
        certificate, handshake = self._identity(f"client {name}")
        address = (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 40_000)
        client = Client(
            identity=identity,
            token=self.token(room, identity, grant=grant, **(claims or {})),
            address=address,
            entropy=entropy,
            certificate=certificate,
            handshake=handshake,
            options=ClientOptions(**options),
            ports=1000,
        )
        home = self.nodes[node] if node else next(iter(self.nodes.values()))
        up = Pipe(link or self._link, entropy.child("up"))
        below = Pipe(down or link or self._link, entropy.child("down"))
        seat = Seat(name, client, home, up, below)
        self._seats[seat.host] = seat
        participant = Participant(self, seat)
        self.participants.append(participant)
        return participant

    def token(self, room: str, identity: str, *, grant: VideoGrant | None = None, **claims: Any) -> str:
        """An access token for a join."""
        video = attrs.evolve(grant or VideoGrant(), room_join=True, room=room)
        wallclock = WALLCLOCK + self.now
        made = Claims(issuer=API_KEY, identity=identity, video=video, expires_at=wallclock + TOKEN_LIFETIME_S, **claims)
        return mint(made, API_SECRET, wallclock=wallclock)

    def call(self, method: str, request: Mapping[str, Any], *, service: str = "RoomService", node: str = "") -> Any:
        """Call the server's API; returns what its JSON answer says. Raises Stuck if it refuses or takes its time."""
        home = self.nodes[node] if node else next(iter(self.nodes.values()))
        grant = VideoGrant(room_admin=True, room_create=True, room_list=True, room=str(request.get("room", "")))
        claims = Claims(issuer=API_KEY, video=grant, expires_at=WALLCLOCK + self.now + 600)
        token = mint(claims, API_SECRET, wallclock=WALLCLOCK + self.now)
        ref, self._next_ref = self._next_ref, self._next_ref + 1
        http = HttpRequest(
            method="POST",
            path=f"/twirp/livekit.{service}/{method}",
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            body=json.dumps(request).encode(),
        )
        home.node.handle_request(self.now, ref, http)
        self._flush(home)
        self.run_until(lambda: ref in home.responses, deadline=30.0)
        response = home.responses.pop(ref)
        if response.status != 200:
            raise Stuck(f"{method}: {response.status} {response.body!r}")
        return json.loads(response.body)

    # Running

    def run_until(self, condition: Callable[[], object], *, deadline: float) -> None:
        """Let time pass until `condition` holds; raises Stuck after `deadline` seconds."""
        end = self.now + deadline
        while not condition():
            at = self._next()
            if at is None or at > end:
                self.now = end
                raise Stuck(f"not within {deadline} s; the seed is {self.seed!r}")
            self._step(at)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while (at := self._next()) is not None and at <= end:
            self._step(at)
        self.now = end

    def digest(self) -> str:
        """A hash over all that has happened. Equal for equal runs."""
        return self._hash.copy().hexdigest()

    # What participants do

    def apply(self, seat: Seat, command: Callable[[Client], object]) -> None:
        """Have a client do something now, and carry away what it puts out."""
        command(seat.client)
        self._flush(seat)

    def move(self, seat: Seat, host: str) -> None:
        """The client is seen under another address from now on."""
        self._seats.pop(seat.host, None)
        seat.host = host
        self._seats[host] = seat

    def flush_node(self, node: SimNode) -> None:
        """After a command of the caller's on a node."""
        self._flush(node)

    # Private: time

    def _next(self) -> float | None:
        deadline = self._deadlines.next()
        if not self._arrivals:
            return None if deadline is None else max(self.now, self._grid(deadline))
        arrival = self._arrivals[0][0]
        return arrival if deadline is None else max(self.now, min(arrival, self._grid(deadline)))

    def _grid(self, at: float) -> float:
        """The first moment that is not before `at`."""
        moment = ceil(at / self._tick) * self._tick
        return moment if moment >= at else moment + self._tick

    def _step(self, at: float) -> None:
        self.now = at
        batches: dict[Machine, list[tuple[Address, Address, bytes]]] = {}
        while self._arrivals and self._arrivals[0][0] <= at:
            _, _, machine, what = heappop(self._arrivals)
            if isinstance(what, Transmit):
                self._note(b"datagram", what.data)
                batches.setdefault(machine, []).append(what)
            else:
                self._deliver(machine, batches.pop(machine, None))
                what()
                self._flush(machine)
        for machine, batch in batches.items():
            self._deliver(machine, batch)
            self._flush(machine)
        for machine in self._deadlines.pop_due(at):
            self._machine(machine).handle_timeout(at)
            self._flush(machine)

    def _deliver(self, machine: Machine, batch: list[tuple[Address, Address, bytes]] | None) -> None:
        if batch:
            self._machine(machine).handle_datagrams(self.now, batch)

    @staticmethod
    def _machine(machine: Machine) -> Node | GuardedNode | Client:
        return machine.node if isinstance(machine, SimNode) else machine.client

    def _at(self, when: float, machine: Machine, what: Transmit | Action) -> None:
        self._order += 1
        heappush(self._arrivals, (self._grid(when), self._order, machine, what))

    # Private: carrying away

    def _flush(self, machine: Machine) -> None:
        if isinstance(machine, SimNode):
            self._flush_node(machine)
        else:
            self._flush_seat(machine)

    def _flush_node(self, node: SimNode) -> None:
        for batch in node.node.poll_transmits():
            for transmit in batch:
                self._send_down(transmit)
        for command in node.node.poll_commands():
            self._perform(node, command)
        for event in node.node.poll_events():
            self._note(b"event", repr(event).encode())
            node.events.append(event)
        self._deadlines.set(node, node.node.poll_timeout())

    def _flush_seat(self, seat: Seat) -> None:
        client = seat.client
        for batch in client.poll_transmits():
            for transmit in batch:
                self._send_up(seat, transmit)
        for command in client.poll_commands():
            self._request(seat, command)
        for event in client.poll_events():
            self._note(b"client event", repr(event).encode())
            seat.events.append(event)
        self._deadlines.set(seat, client.poll_timeout())

    def _send_down(self, transmit: Transmit) -> None:
        seat = self._seats.get(transmit.remote[0])
        if seat is None:
            self.lost += 1
            return
        arrived = Transmit((seat.client.address[0], transmit.remote[1]), transmit.local, transmit.data)
        for when in seat.down.send(self.now, len(transmit.data)):
            self._at(when, seat, arrived)

    def _send_up(self, seat: Seat, transmit: Transmit) -> None:
        node = self._nodes.get(transmit.remote)
        if node is None:
            self.lost += 1
            return
        arrived = Transmit(transmit.remote, (seat.host, transmit.local[1]), transmit.data)
        for when in seat.up.send(self.now, len(transmit.data)):
            self._at(when, node, arrived)

    def _note(self, kind: bytes, data: bytes) -> None:
        if self._records:
            self.history.append((self.now, kind.decode(), data))
        self._hash.update(_TIME.pack(self.now))
        self._hash.update(kind)
        self._hash.update(len(data).to_bytes(4, "big"))
        self._hash.update(data)

    # Private: signalling

    def _request(self, seat: Seat, command: OpenSocket | SendFrame | CloseSocket) -> None:
        """A client's command, on its way to the node."""
        node = seat.node
        if isinstance(command, OpenSocket):
            session = seat.session = SessionId(self._next_session)
            self._next_session += 1
            node.sessions[session] = seat
            self._carry_up(seat, lambda: node.node.handle_connect(self.now, session, command.request))
            return
        session_or_none = seat.session
        if session_or_none is None:
            return
        opened = session_or_none
        if isinstance(command, SendFrame):
            frame = command.frame
            self._carry_up(seat, lambda: self._message(node, opened, frame))
        else:
            seat.session = None
            self._carry_up(seat, lambda: self._disconnect(node, opened))

    def _carry_up(self, seat: Seat, action: Action) -> None:
        self._at(seat.up.carry(self.now), seat.node, action)

    def _message(self, node: SimNode, session: SessionId, frame: bytes) -> None:
        self._note(b"request", frame)
        if session in node.sessions:
            node.node.handle_message(self.now, session, frame)

    def _disconnect(self, node: SimNode, session: SessionId) -> None:
        if node.sessions.pop(session, None) is not None:
            node.node.handle_disconnect(self.now, session)

    def _perform(self, node: SimNode, command: Any) -> None:
        """A node's command, on its way to a client."""
        if isinstance(command, Respond):
            self._note(b"response", command.body)
            node.responses[command.ref] = command
            return
        session = command.session
        seat = node.sessions.get(session)
        if seat is None:
            return
        if isinstance(command, Reject | Close):
            del node.sessions[session]
        when = seat.down.carry(self.now)
        self._at(when, seat, lambda: self._answer(seat, session, command))

    def _answer(self, seat: Seat, session: SessionId, command: Accept | Reject | Send | Close) -> None:
        """A node's command has come to the client; one for an earlier socket is void."""
        if seat.session != session:
            return
        client = seat.client
        match command:
            case Accept(frames=frames):
                client.handle_accepted(self.now)
                for frame in frames:
                    self._frame(seat, frame)
            case Send(frame=frame):
                self._frame(seat, frame)
            case Reject(status=status, body=body):
                seat.session = None
                client.handle_rejected(self.now, status, body)
            case Close():
                seat.session = None
                client.handle_socket_closed(self.now)

    def _frame(self, seat: Seat, frame: bytes | str) -> None:
        data = frame if isinstance(frame, bytes) else frame.encode()
        self._note(b"response", data)
        seat.client.handle_frame(self.now, data)

    def _new_node(self, name: str, address: Address, config: Config | None) -> Node | GuardedNode:
        config = config or Config()
        if not config.keys:
            config = attrs.evolve(config, keys={API_KEY: API_SECRET})
        certificate, handshake = self._identity(f"node {name}")
        node = Node(
            config,
            entropy=self._entropy.child(f"node {name}"),
            wallclock_offset=WALLCLOCK,
            certificate=certificate,
            handshake=handshake,
        )
        node.add_socket(address, [address])
        return GuardedNode(node) if self._guarded else node

    def _identity(self, name: str) -> tuple[Certificate, HandshakeFactory]:
        if self._dtls is None:
            return _openssl_certificate(name), OpenSslHandshake
        return self._dtls.certificate(name), self._dtls.handshake


@lru_cache(maxsize=64)
def _openssl_certificate(name: str) -> Certificate:  # noqa: ARG001 - the key of the cache
    return Certificate.generate(WALLCLOCK)
