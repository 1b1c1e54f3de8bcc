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
from ..outputs import Address
from ..sim import Client, ClientOptions, Connected, Joined, Left, Received, TrackOptions
from ..wire import models
from .figures import Flow
from .histogram import Histogram
from .listening import ListenerKernel
from .options import LoadOptions, Role, Seat, layers
from .tally import Stream, Tally

_DATA: Final = Struct("!2sQI")  # magic, when it was sent in microseconds, number
_DATA_MAGIC: Final = b"\xd5\x1c"
_TOPIC: Final = "load"


class State(Enum):
    WAITING = "waiting"
    JOINING = "joining"
    IN = "in"
    REFUSED = "refused"
    DROPPED = "dropped"


class Participant:
    """See the module's text. The owner drains `client` after each call."""

    __slots__ = (
        "_data_at", "_data_number", "_data_streams", "_kernel", "_kinds", "_options", "_sent_before", "client", "connected_at",
        "data_latency", "first_media_at", "joined_at", "reason", "seat", "started_at", "state", "tally",
    )  # fmt: skip

    def __init__(
        self, seat: Seat, options: LoadOptions, *, entropy: Entropy, certificate: Certificate, handshake: HandshakeFactory
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
        self.data_latency = Histogram()
        self._options = options
        self._kernel = ListenerKernel(entropy) if seat.role is Role.LISTENER else None
        self._data_streams: dict[str, Stream] = {}
        """By identity of the sender."""
        self._kinds: dict[int, str] = {}
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

    def handle_frame(self, now: float, frame: bytes) -> None:
        """A frame of its WebSocket."""
        self.client.handle_frame(now, frame)
        if self.seat.role is not Role.LISTENER:
            # Only who reads media needs to know whose it is; a thousand who each know a thousand are a gigabyte.
            self.client.view.participants.clear()

    def handle_datagrams(
        self, now: float, batch: Sequence[tuple[Address, Address, bytes]], arrivals: Sequence[float]
    ) -> bool:
        """False if there was nothing to do beyond counting."""
        rest = self.tally.handle_datagrams(batch)
        if self.first_media_at is None and len(rest) < len(batch):
            self.first_media_at = now
        if self.seat.role is Role.COUNTER:
            if not rest:
                return False
            batch = [batch[index] for index in rest]
            arrivals = [arrivals[index] for index in rest] if arrivals else ()
        self.client.handle_datagrams(now, batch, arrivals or [now] * len(batch))
        return True

    def handle_timeout(self, now: float) -> None:
        at = self.client.poll_timeout()
        if at is not None and at <= now:
            self.client.handle_timeout(now)
        if self._data_at is not None and self._data_at <= now:
            self._data_at += 1 / self._options.data_rate
            self._send_data(now)

    def handle_events(self, now: float) -> None:
        """Take note of what the client reports."""
        for event in self.client.poll_events():
            match event:
                case Joined():
                    self.joined_at = now
                case Connected():
                    self._connected(now)
                case Left():
                    self._left(event)
                case Received():
                    self._take_data(event)
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
        self.data_latency.clear()
        for stream in self._data_streams.values():
            stream.restart()
        for histogram in self.latencies().values():
            histogram.clear()
        self._sent_before = self._sent()
        self._learn_kinds()

    # Output and getters

    def poll_timeout(self) -> float | None:
        deadlines = (self.client.poll_timeout(), self._data_at)
        return min((at for at in deadlines if at is not None), default=None)

    def latencies(self) -> dict[str, Histogram]:
        """From publisher to here, by kind."""
        media = {} if self._kernel is None else {"audio": self._kernel.audio, "video": self._kernel.video}
        return media | {"data": self.data_latency}

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

    def _connected(self, now: float) -> None:
        if self.state is not State.JOINING:
            return
        self.state = State.IN
        self.connected_at = now
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

    def _take_data(self, received: Received) -> None:
        if len(received.payload) < _DATA.size or received.topic != _TOPIC:
            return
        magic, sent_us, number = _DATA.unpack_from(received.payload)
        if magic != _DATA_MAGIC or self.seat.role is Role.PUBLISHER:
            return
        stream = self._data_streams.get(received.sender)
        if stream is None:
            stream = self._data_streams[received.sender] = Stream(number)
        stream.count(number & 0xFFFF, len(received.payload))
        self.data_latency.add(received.at - sent_us * 1e-6)

    def _learn_kinds(self) -> dict[int, str]:
        """Payload type to kind of media, as agreed on, also when the connection is gone."""
        for connection in (self.client.subscriber, self.client.publisher):
            for section in () if connection is None else connection.sections.values():
                self._kinds.update(dict.fromkeys(section.codecs, section.kind))
        return self._kinds

    def _sent(self) -> int:
        tracks = self.client.published.tracks.values()
        return self._data_number + sum(sender.sent for track in tracks for sender in track.senders)
