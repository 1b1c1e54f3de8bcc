"""A whole LiveKit client without I/O: signalling, negotiation, transports, media and data, from the server's own machines.

    new --join--> joining --join message--> joined --leave, refused, told to go--> over
                     ^                        | socket lost, transport failed
                     |                        v
                     +---told to come anew--- resuming --reconnect message--> joined

With one peer connection (v1) the client offers it inside the join; with two (v0) it offers its publisher connection and answers
the server's offers on the other. After a lost socket it resumes: a new socket, sync state, an ICE restart, and the reliable
data that the server has not seen. Where that fails it joins anew and publishes its tracks again.

It has the four kinds of verbs of all machines here. Its commands to whoever drives it are `OpenSocket`, `SendFrame` and
`CloseSocket`; a driver may be a `World`, or a test that hands frames to a `Node` by itself. Drain `poll_commands`,
`poll_transmits` and `poll_events` after every call.

Left out: backup codecs, end-to-end encryption, TURN.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ..dtls import Certificate, HandshakeFactory, OpenSslHandshake
from ..entropy import Entropy
from ..errors import DropReason
from ..outputs import Address, Batch
from ..timers import TimerTable
from ..transport import (
    ChannelMessage,
    ChannelOpened,
    PeerEvent,
    PeerState,
    PeerStateChanged,
    RtcpReceived,
    StreamBound,
    StreamNotice,
    StreamUnbound,
)
from ..wire import WireError, models, parse, rtc
from .connection import SUBSCRIBER, ClientConnection
from .data import Inbox
from .exchange import DataExchange
from .heartbeat import Due, Heartbeat
from .kernel import ClientKernel, MediaKernel
from .memory import Memory
from .publishing import PublishedTrack, Publishing, TrackOptions
from .receiving import Receiving
from .session import (
    ClientCommand,
    ClientEvent,
    ClientOptions,
    CloseSocket,
    Connected,
    Joined,
    Left,
    OpenSocket,
    Resumed,
    SendFrame,
    upgrade_request,
)
from .sink import Sink
from .transports import Transports
from .view import RoomView

FIRST_SECTIONS = 3
"""Receiving sections of each kind in the first offer of a single connection, as LiveKit's clients have."""
RETRY_DELAYS_S = (0.0, 0.3, 1.2, 2.7, 4.8, 7.0)
"""Before attempts to resume, as livekit-client waits; then the client joins anew."""
CONNECT_TIMEOUT_S = 15.0
GOODBYE_PATIENCE_S = 2.0


class Phase(Enum):
    NEW = "new"
    JOINING = "joining"
    JOINED = "joined"
    RESUMING = "resuming"
    OVER = "over"


class _Timer(Enum):
    RETRY = "another attempt"
    CONNECT = "the transport must be up"
    CLOSED = "the server closed a transport without a word"


class Client:
    """One client. `now` is the first argument of whatever needs time."""

    def __init__(
        self,
        *,
        identity: str,
        token: str,
        address: Address,
        entropy: Entropy,
        certificate: Certificate,
        handshake: HandshakeFactory = OpenSslHandshake,
        options: ClientOptions = ClientOptions(),  # noqa: B008 - frozen
        ports: int = 2,
        kernel: MediaKernel | None = None,
    ) -> None:
        """`address` is that of its first UDP socket, as the server can reach it. Each connection that it opens takes the next
        of so many `ports`; two are needed for clients with two connections."""
        self.identity = identity
        self.options = options
        self._token = token
        self.address = address
        self._kernel: MediaKernel = kernel or ClientKernel(entropy)
        self._transports = Transports(
            address=address,
            ports=ports,
            kernel=self._kernel,
            entropy=entropy,
            certificate=certificate,
            handshake=handshake,
        )
        self.phase = Phase.NEW
        self.was_joined = False
        self.left: Left | None = None
        self.socket_open = False
        self.view = RoomView()
        self.published = Publishing(identity, entropy)
        """The tracks of this client."""
        self.receiving = Receiving(self._kernel)
        self._data = DataExchange()
        self._memory = Memory()
        self._attempts = 0
        self._heartbeat = Heartbeat()
        self._timers: TimerTable[_Timer] = TimerTable()
        self._commands: list[ClientCommand] = []
        self._events: list[ClientEvent] = []

    # Input: the socket

    def handle_accepted(self, now: float) -> None:
        """The WebSocket is open."""
        self.socket_open = True
        self._heartbeat.hear(now)

    def handle_rejected(self, now: float, status: int, body: str) -> None:
        """The upgrade was refused."""
        self.socket_open = False
        if self.phase is Phase.RESUMING and status >= 500:
            self._retry(now)
        else:
            self._end(now, Left(reason=body, status=status))
        self._settle(now)

    def handle_frame(self, now: float, frame: bytes) -> None:
        """One binary frame of the server."""
        if self.phase is Phase.OVER:
            return
        self._heartbeat.hear(now)
        try:
            response = parse(rtc.SignalResponse, frame)
        except WireError:
            return
        self.view.handle(response)
        self._handle_response(now, response)
        self._settle(now)

    def handle_socket_closed(self, now: float) -> None:
        """The server or the network closed the socket."""
        self.socket_open = False
        if self.phase in (Phase.JOINED, Phase.RESUMING, Phase.JOINING):
            self._come_back(now)
        self._settle(now)

    # Input: datagrams and time

    def handle_datagrams(
        self, now: float, batch: Sequence[tuple[Address, Address, bytes]], arrivals: Sequence[float] = ()
    ) -> None:
        """(local, remote, data) each, and when each came if not now."""
        self._transports.handle_datagrams(now, batch, arrivals)
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        self._transports.handle_timeout(now)
        for timer in self._timers.expire(now):
            self._expired(now, timer)
        for due in self._heartbeat.handle_timeout(now):
            if due is Due.PING:
                self._send(rtc.SignalRequest(ping_req=rtc.Ping(timestamp=int(now * 1000))))
            else:
                self.lose_socket(now)
        if self.publisher is not None:
            self.published.handle_timeout(now, self.publisher)
        self.receiving.handle_timeout(now)
        self._settle(now)

    # Commands

    def join(self, now: float) -> None:
        """Enter the room of the token."""
        self._open_session(now)
        self._settle(now)

    def leave(self, now: float) -> None:
        """Say goodbye, and close everything."""
        if self.phase is Phase.JOINED:
            self._send(rtc.SignalRequest(leave=rtc.LeaveRequest(reason=models.DisconnectReason.CLIENT_INITIATED)))
        self._end(now, Left(reason="CLIENT_INITIATED"))
        self._settle(now)

    def lose_socket(self, now: float) -> None:
        """The socket breaks on this side; what follows is as after any loss."""
        if self.socket_open:
            self._commands.append(CloseSocket())
        self.handle_socket_closed(now)

    def vanish(self, now: float) -> None:  # noqa: ARG002 - as everywhere
        """Stop at once, without a word to anybody."""
        self.phase = Phase.OVER
        self.left = Left(reason="vanished")
        self._timers.cancel_all()
        self._heartbeat.stop()
        self._transports.forget()
        self.published.restart()
        self.receiving.forget_streams()
        self._commands.clear()

    def rejoin(self, now: float) -> None:
        """Begin a session anew: join, and publish everything again."""
        self._rejoin(now)
        self._settle(now)

    def restart_ice(self, now: float) -> None:
        """Offer new credentials on the connection that this client offers."""
        if self.publisher is not None:
            self.publisher.restart(now)
        self._settle(now)

    def publish(self, now: float, options: TrackOptions) -> PublishedTrack:
        """Publish a track as soon as this is possible."""
        track = self.published.add(options)
        self._send(rtc.SignalRequest(add_track=track.request()))
        self._settle(now)
        return track

    def unpublish(self, now: float, track: PublishedTrack) -> None:
        """End a track."""
        self.published.remove(track, self.publisher)
        self._settle(now)

    def set_muted(self, now: float, track: PublishedTrack, muted: bool) -> None:
        track.set_muted(now, muted)
        if track.sid:
            self._send(rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid=track.sid, muted=muted)))
        self._settle(now)

    def send_data(
        self, now: float, payload: bytes, *, topic: str = "", reliable: bool = True, to: Sequence[str] = ()
    ) -> None:
        """Send a user packet to all others, or to the identities in `to`."""
        user = models.UserPacket(payload=payload, topic=topic)
        self.send_packet(now, models.DataPacket(user=user, destination_identities=to), reliable=reliable)

    def send_packet(self, now: float, packet: models.DataPacket, *, reliable: bool = True) -> None:
        """Send a data packet of any kind."""
        self._data.add(packet, reliable=reliable)
        self._settle(now)

    def publish_data_track(self, now: float, name: str) -> None:
        """Publish a data track of that name."""
        self._send(self._data.publish_track(name))
        self._settle(now)

    def unpublish_data_track(self, now: float, name: str) -> None:
        self._send(self._data.unpublish_track(name))
        self._settle(now)

    def send_on_data_track(self, now: float, name: str, payload: bytes) -> bool:
        """One packet on a data track; False if there is no channel for it, for nothing waits there."""
        sent = self._data.send_on_track(now, name, payload, self.publisher)
        self._settle(now)
        return sent

    def request(self, now: float, request: rtc.SignalRequest) -> None:
        """Send any signal request; subscriptions and permissions are remembered for a resume."""
        self._memory.note(request)
        self._send(request)
        self._settle(now)

    # Output

    def poll_commands(self) -> list[ClientCommand]:
        commands, self._commands = self._commands, []
        return commands

    def poll_transmits(self) -> list[Batch]:
        return self._transports.poll_transmits()

    def poll_events(self) -> list[ClientEvent]:
        events, self._events = self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        """Input that its transports threw away since the last call."""
        return self._transports.poll_drops()

    def poll_timeout(self) -> float | None:
        machines = (self.receiving, self.published, self._transports, self._heartbeat)
        deadlines = [self._timers.next(), *(machine.poll_timeout() for machine in machines)]
        return min((at for at in deadlines if at is not None), default=None)

    # Getters

    @property
    def publisher(self) -> ClientConnection | None:
        """The connection that we offer; the only one where there is but one."""
        return self._transports.publisher

    @property
    def subscriber(self) -> ClientConnection | None:
        return self._transports.subscriber

    @property
    def inbox(self) -> Inbox:
        """The data that came."""
        return self._data.inbox

    @property
    def is_connected(self) -> bool:
        """Whether all its peer connections are up."""
        return self.phase is Phase.JOINED and self._transports.are_connected

    @property
    def sid(self) -> str:
        """As the server named it; empty before the join."""
        return self.view.own_sid

    @property
    def is_data_ready(self) -> bool:
        return self.publisher is not None and {"_reliable", "_lossy"} <= self.publisher.channels.keys()

    def sinks(self, identity: str, kind: str = "") -> list[Sink]:
        """Where tracks of that participant end, in order of subscription."""
        found = self.receiving.sinks.values()
        return [sink for sink in found if sink.identity == identity and kind in ("", sink.kind)]

    # Sessions

    def _open_session(self, now: float) -> None:
        """Ask for a socket for a session of its own."""
        self.phase = Phase.JOINING
        self._drop_connections(now)
        offer = None
        if self.options.single:
            offer = self._transports.open_publisher(now).first_offer(now, receivers=FIRST_SECTIONS)
        self._timers.set(_Timer.CONNECT, now + CONNECT_TIMEOUT_S)
        self._commands.append(OpenSocket(upgrade_request(self.options, self._token, offer=offer)))

    def _come_back(self, now: float) -> None:
        """The socket or a transport is lost."""
        if not self.options.resumes or (self.phase is Phase.JOINING and not self.was_joined):
            self._end(now, Left(reason="connection lost"))
            return
        if self.phase is Phase.JOINED:
            self.phase = Phase.RESUMING
            self._attempts = 0
        self._heartbeat.stop()
        self._retry(now)

    def _retry(self, now: float) -> None:
        """Try to come back: by a resume some times, then anew."""
        delay = RETRY_DELAYS_S[min(self._attempts, len(RETRY_DELAYS_S) - 1)]
        self._attempts += 1
        self._timers.set(_Timer.RETRY, now + delay)

    def _attempt(self, now: float) -> None:
        if self.phase is Phase.RESUMING and self._attempts <= len(RETRY_DELAYS_S):
            self._timers.set(_Timer.CONNECT, now + CONNECT_TIMEOUT_S)
            self._commands.append(OpenSocket(upgrade_request(self.options, self._token, resumed_sid=self.sid)))
        else:
            self._rejoin(now)

    def _rejoin(self, now: float) -> None:
        """Join anew, and publish everything again."""
        self._close_socket()
        self.published.restart()
        self._data.restart()
        self._open_session(now)

    def _end(self, now: float, left: Left) -> None:
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        self.left = left
        self._events.append(left)
        self._close_socket()
        self._timers.cancel_all()
        self._heartbeat.stop()
        self.published.restart()
        self._drop_connections(now)

    def _close_socket(self) -> None:
        if self.socket_open:
            self._commands.append(CloseSocket())
            self.socket_open = False

    def _expired(self, now: float, timer: _Timer) -> None:
        match timer:
            case _Timer.RETRY:
                self._attempt(now)
            case _Timer.CLOSED:
                if any(connection.peer.state is PeerState.CLOSED for connection in self._transports):
                    self._lost_transport(now)
            case _Timer.CONNECT:
                if not self.is_connected and self.options.resumes:
                    self._rejoin(now)
                elif not self.is_connected:
                    self._end(now, Left(reason="not connected in time"))

    # Transports

    def _drop_connections(self, now: float) -> None:
        self._transports.drop(now)
        self.receiving.forget_streams()

    def _settle(self, now: float) -> None:
        """Let consequences run until all is quiet."""
        for connection in self._transports:
            while events := connection.endpoint.poll_events():
                for _, event in events:
                    if connection in self._transports:
                        self._handle_peer_event(now, connection, event)
        self.receiving.place_waiting(now, self.view)
        self.receiving.handle_packets(now, self._kernel.take_packets())
        self.receiving.send_feedback(now)
        if self.phase is Phase.JOINED:
            if self.publisher is not None and self.is_data_ready:
                self._data.send_waiting(now, self.publisher)
            for connection in self._transports:
                self._negotiate(connection)

    def _handle_peer_event(self, now: float, connection: ClientConnection, event: PeerEvent) -> None:
        match event:
            case PeerStateChanged():
                self._peer_state_changed(now, connection, event.state)
            case StreamBound():
                self.receiving.handle_bound(connection, event)
            case StreamUnbound():
                self.receiving.handle_unbound(now, event.stream)
            case StreamNotice():
                self.receiving.handle_notice(now, event.notice)
            case RtcpReceived():
                self.published.handle_rtcp(event.packets, connection)
            case ChannelOpened():
                connection.channels[event.label] = event.channel
            case ChannelMessage():
                received = self._data.handle_message(now, event)
                if received is not None:
                    self._events.append(received)
            case _:
                pass

    def _peer_state_changed(self, now: float, connection: ClientConnection, state: PeerState) -> None:
        if state is PeerState.CONNECTED:
            if connection is self.publisher:
                self.published.negotiated(now, connection)
            if self.is_connected:
                self._timers.cancel(_Timer.CONNECT)
                self._events.append(Connected())
        elif state is PeerState.CLOSED:
            # The server closed it and is about to say why; its goodbye may have overtaken the message.
            self._timers.set_if_unset(_Timer.CLOSED, now + GOODBYE_PATIENCE_S)
        elif state is PeerState.FAILED:
            self._lost_transport(now)

    def _lost_transport(self, now: float) -> None:
        if self.phase is Phase.JOINED:
            self._close_socket()
            self._come_back(now)

    # Negotiation

    def _negotiate(self, connection: ClientConnection) -> None:
        """Offer what changed, one offer at a time."""
        if connection.needs_offer and not connection.is_pending:
            self._send(rtc.SignalRequest(offer=connection.offer()))
            self._trickle(connection)

    def _trickle(self, connection: ClientConnection) -> None:
        for candidate in connection.take_candidates():
            self._send(rtc.SignalRequest(trickle=candidate))

    # Signalling

    def _send(self, request: rtc.SignalRequest) -> None:
        """Send now, or after the resume where that makes sense."""
        if self.socket_open and self.phase is Phase.JOINED:
            self._commands.append(SendFrame(request.SerializeToString(deterministic=True)))
        elif self.phase is Phase.RESUMING:
            self._memory.keep(request)

    def _handle_response(self, now: float, response: rtc.SignalResponse) -> None:
        match response.WhichOneof("message"):
            case "join":
                self._joined(now, response.join)
            case "reconnect":
                self._resumed(now, response.reconnect)
            case "leave":
                self._told_to_leave(now, response.leave)
            case "offer" | "answer" | "trickle" | "media_sections_requirement":
                self._handle_negotiation(now, response)
            case "refresh_token":
                self._token = response.refresh_token
            case "data_track_subscriber_handles":
                self.inbox.set_handles(response.data_track_subscriber_handles)
            case _:
                self._handle_about_tracks(now, response)

    def _handle_negotiation(self, now: float, response: rtc.SignalResponse) -> None:
        match response.WhichOneof("message"):
            case "offer":
                self._answer(now, response.offer)
            case "answer":
                if self.publisher is not None and self.publisher.handle_answer(now, response.answer):
                    self.published.negotiated(now, self.publisher)
            case "trickle":
                connection = self.subscriber if response.trickle.target == SUBSCRIBER else self.publisher
                if connection is not None:
                    connection.handle_candidate(now, response.trickle.candidateInit)
            case _:
                if self.publisher is not None:
                    self.publisher.add_receivers(response.media_sections_requirement)

    def _handle_about_tracks(self, now: float, response: rtc.SignalResponse) -> None:
        """What the server says of tracks that this client publishes."""
        match response.WhichOneof("message"):
            case "track_published":
                if self.publisher is not None:
                    self.published.accepted(response.track_published, self.publisher)
            case "track_unpublished":
                track = self.published.of_sid(response.track_unpublished.track_sid)
                if track is not None:
                    self.unpublish(now, track)
            case "track_subscribed":
                self.published.subscribed(now, response.track_subscribed.track_sid)
            case "mute":
                track = self.published.of_sid(response.mute.sid)
                if track is not None:
                    self.set_muted(now, track, response.mute.muted)
            case "subscribed_quality_update":
                if self.options.heeds_dynacast:
                    self.published.set_qualities(response.subscribed_quality_update)
            case _:
                pass

    def _joined(self, now: float, join: rtc.JoinResponse) -> None:
        self.phase = Phase.JOINED
        self.was_joined = True
        self._attempts = 0
        self._timers.cancel(_Timer.RETRY)
        self._events.append(Joined(self.sid))
        self._heartbeat.start(now, join.ping_interval, join.ping_timeout)
        self._memory.drop_waiting()
        publisher = self.publisher
        if publisher is None:
            publisher = self._transports.open_publisher(now)
            self._send(rtc.SignalRequest(offer=publisher.first_offer(now)))
        self._trickle(publisher)
        for request in self.published.requests():
            self._send(rtc.SignalRequest(add_track=request))
        for data_request in self._data.requests():
            self._send(data_request)

    def _resumed(self, now: float, reconnect: rtc.ReconnectResponse) -> None:
        self.phase = Phase.JOINED
        self._attempts = 0
        self._timers.cancel(_Timer.RETRY)
        self._events.append(Resumed())
        self._heartbeat.start(now)
        self._send(rtc.SignalRequest(sync_state=self._sync_state()))
        self._data.resume(reconnect.last_message_seq)
        for request in self._memory.take_requests():
            self._send(request)
        if self.publisher is not None:
            self.publisher.restart(now)
        self._timers.set(_Timer.CONNECT, now + CONNECT_TIMEOUT_S)

    def _sync_state(self) -> rtc.SyncState:
        state = rtc.SyncState(
            subscription=self._memory.wishes(auto_subscribe=self.options.auto_subscribe),
            publish_tracks=self.published.states(),
        )
        self._data.describe(state)
        return state

    def _answer(self, now: float, offer: rtc.SessionDescription) -> None:
        """Answer the server's offer on the subscriber connection."""
        subscriber = self.subscriber or self._transports.open_subscriber(now)
        self._send(rtc.SignalRequest(answer=subscriber.answer(now, offer)))
        self._trickle(subscriber)

    def _told_to_leave(self, now: float, leave: rtc.LeaveRequest) -> None:
        action = rtc.LeaveRequest.Action
        if not self.options.resumes or leave.action == action.DISCONNECT:
            self._end(now, Left(reason=models.DisconnectReason.Name(leave.reason)))
        elif leave.action == action.RESUME:
            self._close_socket()
            self._come_back(now)
        else:
            self._rejoin(now)
