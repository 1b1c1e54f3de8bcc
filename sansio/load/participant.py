"""One participant of a load test: a whole client, and the count of what reaches it.

waiting --start--> joining --all transports up--> in --lost, told to go--> dropped
                      '--refused, gave up--> refused
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from struct import Struct
from typing import Final

from ..dtls import Certificate, HandshakeFactory
from ..entropy import Entropy
from ..kernel import Kernel
from ..outputs import Address
from ..sim import Client, ClientOptions, Connected, Joined, Left, Received, TrackOptions
from ..wire import models, rtc
from .figures import Flow
from .histogram import Histogram
from .kernel import LoadKernel
from .options import LoadOptions, Role, Seat, layers
from .sealing import Sealer
from .tally import Stream, Tally

_DATA: Final = Struct("!2sQI")  # magic, when it was sent in microseconds, number
_DATA_MAGIC: Final = b"\xd5\x1c"
_TOPIC: Final = "load"


def _tag(name: str) -> bytes:
    """How a response with that message begins."""
    empty = rtc.SignalResponse()
    getattr(empty, name).SetInParent()
    return empty.SerializeToString()[:-1]


_GOSSIP: Final = tuple(map(_tag, ("update", "speakers_changed", "connection_quality")))
"""What a server tells everybody about everybody. A thousand who each read of a thousand take longer than all else here."""


class State(Enum):
    WAITING = "waiting"
    JOINING = "joining"
    IN = "in"
    REFUSED = "refused"
    DROPPED = "dropped"


class Participant:
    """See the module's text. The owner drains `client` after each call."""

    __slots__ = (
        "_data_at", "_data_latency", "_data_number", "_data_streams", "_kernel", "_kinds", "_options", "_repairs", "_sealer",
        "_sent_before", "client", "connected_at", "first_media_at", "joined_at", "reason", "seat", "started_at", "state", "tally",
    )  # fmt: skip

    def __init__(
        self, seat: Seat, options: LoadOptions, *, entropy: Entropy, certificate: Certificate, handshake: HandshakeFactory,
        kernel: Kernel, sealer: Sealer,
    ) -> None:  # fmt: skip
        self.seat = seat
        self.state = State.WAITING
        self.reason = ""
        """Why it is refused or dropped."""
        self.started_at = 0.0
        self.joined_at: float | None = None
        self.connected_at: float | None = None
        self.first_media_at: float | None = None
        self.tally = Tally()
        self._options = options
        self._sealer = sealer
        self._kernel = LoadKernel(kernel, sealer, listens=seat.role is Role.LISTENER)
        self._data_latency = Histogram()
        self._data_streams: dict[str, Stream] = {}
        """By identity of the sender."""
        self._kinds: dict[int, str] = {}
        """By payload type."""
        self._repairs: dict[int, int] = {}
        """Payload type of retransmissions to that of what they repair."""
        self._data_at: float | None = None
        self._data_number = 0
        self._sent_before = 0
        self.client = Client(
            identity=seat.identity,
            token=seat.token,
            address=seat.address,
            entropy=entropy,
            certificate=certificate,
            handshake=handshake,
            kernel=self._kernel,
            ports=2 if options.two_connections else 1,
            options=ClientOptions(
                single=not options.two_connections, auto_subscribe=seat.role is not Role.PUBLISHER, resumes=False
            ),
        )

    # Input

    def handle_frame(self, now: float, frame: bytes) -> bool:
        """A frame of its WebSocket. False if there was nothing to do about it."""
        if frame.startswith(_GOSSIP):
            return False
        self.client.handle_frame(now, frame)
        self.client.view.participants.clear()  # of the join message
        return True

    def handle_datagrams(
        self, now: float, batch: Sequence[tuple[Address, Address, bytes]], arrivals: Sequence[float]
    ) -> bool:
        """False if there was nothing to do beyond counting."""
        counts = self.seat.role is Role.COUNTER
        rest = self.tally.handle_datagrams(batch, heeds_rtcp=not counts)
        if self.first_media_at is None and self.tally.streams:
            self.first_media_at = now if not arrivals else arrivals[_first_missing(rest)]
        if counts:
            if not rest:
                return False
            batch = [batch[index] for index in rest]
            arrivals = [arrivals[index] for index in rest] if arrivals else ()
        self.client.handle_datagrams(now, batch, arrivals)
        return True

    def handle_timeout(self, now: float) -> None:
        """Send media if it is time for that; else data, so that each says when it was sent."""
        at = self.client.poll_timeout()
        if at is not None and at <= now:
            self._sealer.expect_frames(now)
            self.client.handle_timeout(now)
            self._sealer.expect_frames(None)
        elif self._data_at is not None and self._data_at <= now:
            self._data_at += 1 / self._options.data_rate
            self._send_data(now)

    def handle_events(self, now: float, came: float) -> None:
        """Take note of what the client reports, and that it came at `came`."""
        for event in self.client.poll_events():
            match event:
                case Joined():
                    self.joined_at = came
                case Connected():
                    self._connected(now, came)
                case Left():
                    self._left(event)
                case Received():
                    self._take_data(came, event)
                case _:
                    pass
        self.client.inbox.messages.clear()
        self.client.inbox.track_packets.clear()

    # Commands

    def start(self, now: float) -> None:
        self.state = State.JOINING
        self.started_at = now
        self.client.join(now)

    def restart_counts(self) -> None:
        """What came and what was sent before does not count."""
        self.tally.restart()
        for stream in self._data_streams.values():
            stream.restart()
        for histogram in (self._data_latency, *self._kernel.latency.values()):
            histogram.clear()
        self._sent_before = self._sent()
        self._learn_kinds()

    # Output and getters

    def poll_timeout(self) -> float | None:
        deadlines = (self.client.poll_timeout(), self._data_at)
        return min((at for at in deadlines if at is not None), default=None)

    def latencies(self) -> list[tuple[str, Histogram]]:
        """From publisher to here, with its kind each."""
        kinds = self._learn_kinds()
        media = [
            (kinds.get(self._repairs.get(number, number), "other"), one) for number, one in self._kernel.latency.items()
        ]
        return [*media, ("data", self._data_latency)]

    def flows(self) -> dict[str, Flow]:
        """What came, by kind."""
        kinds = self._learn_kinds()
        flows: dict[str, Flow] = {}
        sources = [(kinds.get(stream.payload_type, "other"), stream) for stream in self.tally.streams.values()]
        for kind, stream in (*sources, *(("data", stream) for stream in self._data_streams.values())):
            lost = 0 if kind == "other" else stream.lost
            flow = Flow(streams=1, packets=stream.received, octets=stream.octets, lost=lost)
            flows[kind] = flows.get(kind, Flow()) + flow
        return flows

    @property
    def sent_packets(self) -> int:
        return self._sent() - self._sent_before

    # Private

    def _connected(self, now: float, came: float) -> None:
        if self.state is not State.JOINING:
            return
        self.state = State.IN
        self.connected_at = came
        if self.seat.role is Role.PUBLISHER:
            self._publish(now)

    def _publish(self, now: float) -> None:
        options = self._options
        source = models.TrackSource
        if options.audio:
            self.client.publish(now, TrackOptions(name="microphone", source=source.MICROPHONE))
        if options.video:
            camera = TrackOptions(name="camera", source=source.CAMERA, layers=layers(options), fps=options.fps)
            self.client.publish(now, camera)
        if options.data:
            self._data_at = now

    def _left(self, left: Left) -> None:
        self._data_at = None
        if self.state in (State.JOINING, State.IN):
            self.state = State.REFUSED if self.state is State.JOINING else State.DROPPED
            self.reason = f"{left.reason.strip()} ({left.status})" if left.status else left.reason

    def _send_data(self, now: float) -> None:
        head = _DATA.pack(_DATA_MAGIC, round(now * 1e6), self._data_number & 0xFFFFFFFF)
        self._data_number += 1
        self.client.send_data(now, head.ljust(self._options.data_bytes, b"\0"), topic=_TOPIC, reliable=False)

    def _take_data(self, came: float, received: Received) -> None:
        if len(received.payload) < _DATA.size or received.topic != _TOPIC:
            return
        magic, sent_us, number = _DATA.unpack_from(received.payload)
        if magic != _DATA_MAGIC or self.seat.role is Role.PUBLISHER:
            return
        stream = self._data_streams.get(received.sender)
        if stream is None:
            stream = self._data_streams[received.sender] = Stream(number)
        stream.count(number & 0xFFFF, len(received.payload))
        if self.seat.role is Role.LISTENER:
            self._data_latency.add(came - sent_us * 1e-6)

    def _learn_kinds(self) -> dict[int, str]:
        """Payload type to kind of media, as agreed on, also when the connection is gone."""
        for connection in (self.client.subscriber, self.client.publisher):
            for section in () if connection is None else connection.sections.values():
                self._kinds.update(dict.fromkeys(section.codecs, section.kind))
                self._repairs.update(section.rtx)
        return self._kinds

    def _sent(self) -> int:
        tracks = self.client.published.tracks.values()
        return self._data_number + sum(sender.sent for track in tracks for sender in track.senders)


def _first_missing(indices: Sequence[int]) -> int:
    """The first number from 0 on that is not among these, which are in order."""
    return next((at for at, index in enumerate(indices) if at != index), len(indices))
