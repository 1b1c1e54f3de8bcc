"""Data packets of a simulated client: numbering and keeping of reliable ones, the inbox, and data tracks.

Reliable packets are numbered from 1 and kept until a resume tells which of them the server has; the rest is sent again. Of what
comes in, reliable packets with a number not above the sender's last are repetitions and are counted apart.

Packets of data tracks have a header of 12 bytes, of which the server reads the handle at offset 2 alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import Struct

import attrs

from ..wire import WireError, models, parse, rtc

_MAX_KEPT = 4096
_TRACK_HEADER = Struct("!HHHHI")  # flags, handle, sequence number, frame number, timestamp in ms


@attrs.frozen(kw_only=True)
class Received:
    """One data packet that reached a client."""

    sender: str
    """Identity; empty for the server."""
    payload: bytes
    topic: str
    reliable: bool
    at: float
    packet: models.DataPacket = attrs.field(repr=False)
    """All of it, for kinds other than user packets."""


@attrs.frozen(kw_only=True)
class TrackPacket:
    """One packet of a data track."""

    track: str
    """Sid; empty if the server has not named it."""
    sender: str
    """Identity of the publisher."""
    number: int
    payload: bytes
    at: float


class DataPublisher:
    """The data tracks that a client publishes, by name."""

    __slots__ = ("_handles", "_numbers")

    def __init__(self) -> None:
        self._handles: dict[str, int] = {}
        self._numbers: dict[int, int] = {}

    def add(self, name: str) -> rtc.PublishDataTrackRequest:
        handle = self._handles[name] = len(self._numbers) + 1
        self._numbers[handle] = 0
        return rtc.PublishDataTrackRequest(pub_handle=handle, name=name)

    def remove(self, name: str) -> rtc.UnpublishDataTrackRequest:
        return rtc.UnpublishDataTrackRequest(pub_handle=self._handles.pop(name))

    def encode(self, now: float, name: str, payload: bytes) -> bytes:
        """The next packet of a track."""
        handle = self._handles[name]
        number = self._numbers[handle]
        self._numbers[handle] += 1
        return _TRACK_HEADER.pack(0, handle, number & 0xFFFF, number & 0xFFFF, int(now * 1000) & 0xFFFFFFFF) + payload

    def requests(self) -> list[rtc.PublishDataTrackRequest]:
        """What publishes all of them in a new session."""
        return [rtc.PublishDataTrackRequest(pub_handle=handle, name=name) for name, handle in self._handles.items()]

    def states(self) -> list[rtc.PublishDataTrackResponse]:
        """What a resume says of them."""
        infos = [models.DataTrackInfo(pub_handle=handle, name=name) for name, handle in self._handles.items()]
        return [rtc.PublishDataTrackResponse(info=info) for info in infos]


class Outgoing:
    """What a client sends."""

    __slots__ = ("_kept", "_next", "waiting")

    def __init__(self) -> None:
        self._next = 1
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=_MAX_KEPT)
        self.waiting: deque[tuple[bytes, bool]] = deque()
        """Encoded packets, and whether they are reliable, for channels that are not open yet."""

    def add(self, packet: models.DataPacket, *, reliable: bool) -> None:
        """Number a packet, keep it, and queue it."""
        kinds = models.DataPacket.Kind
        packet.kind = kinds.RELIABLE if reliable else kinds.LOSSY
        if reliable:
            packet.sequence = self._next
            self._kept.append((self._next, packet.SerializeToString(deterministic=True)))
            self._next += 1
        self.waiting.append((packet.SerializeToString(deterministic=True), reliable))

    def resume(self, last_seen: int) -> None:
        """The server has everything up to `last_seen`: queue the rest again."""
        lossy = [one for one in self.waiting if not one[1]]
        self.waiting = deque([*((data, True) for number, data in self._kept if number > last_seen), *lossy])

    def restart(self) -> None:
        """A new session: numbers begin anew for what was never sent."""
        waiting, self.waiting = self.waiting, deque()
        self._kept.clear()
        self._next = 1
        for data, reliable in waiting:
            packet = parse(models.DataPacket, data)
            packet.sequence = 0
            self.add(packet, reliable=reliable)


class Inbox:
    """What a client received."""

    __slots__ = ("_handles", "_last", "malformed", "messages", "repeated", "track_packets")

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._handles: dict[int, rtc.DataTrackSubscriberHandles.PublishedDataTrack] = {}
        self.track_packets: list[TrackPacket] = []
        self.messages: list[Received] = []
        self.repeated = 0
        self.malformed = 0

    def add(self, now: float, data: bytes, *, reliable: bool) -> Received | None:
        """Take a packet; None if it is a repetition."""
        try:
            packet = parse(models.DataPacket, data)
        except WireError:
            self.malformed += 1
            return None
        if reliable and packet.sequence:
            if packet.sequence <= self._last.get(packet.participant_sid, 0):
                self.repeated += 1
                return None
            self._last[packet.participant_sid] = packet.sequence
        received = Received(
            sender=packet.participant_identity,
            payload=packet.user.payload,
            topic=packet.user.topic,
            reliable=reliable,
            at=now,
            packet=packet,
        )
        self.messages.append(received)
        return received

    def set_handles(self, handles: rtc.DataTrackSubscriberHandles) -> None:
        """Which data track has which handle from now on."""
        self._handles = dict(handles.sub_handles)

    def add_track_packet(self, now: float, data: bytes) -> None:
        if len(data) < _TRACK_HEADER.size:
            self.malformed += 1
            return
        _, handle, number, _, _ = _TRACK_HEADER.unpack_from(data)
        known = self._handles.get(handle)
        packet = TrackPacket(
            track="" if known is None else known.track_sid,
            sender="" if known is None else known.publisher_identity,
            number=number,
            payload=data[_TRACK_HEADER.size :],
            at=now,
        )
        self.track_packets.append(packet)

    def states(self) -> Sequence[rtc.DataChannelReceiveState]:
        """What a resume tells the server to have arrived."""
        return [rtc.DataChannelReceiveState(publisher_sid=sid, last_seq=last) for sid, last in self._last.items()]
