"""Data tracks: small framed packets on the `_data_track` channel, published under handles and forwarded to subscribers.

A publisher names its tracks by 16-bit handles of its own choosing. Each subscriber is given handles of its own; the server
rewrites nothing in a packet but that number (big endian at offset 2 of the 12-byte header). A subscriber is told its complete
map of handles after each change, and before the first packet that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import Refusal
from ..ids import Identity, ParticipantSid
from ..wire import models, rtc

HEADER_BYTES = 12
MAX_HANDLE = 0xFFFF
MAX_NAME_LENGTH = 256
MAX_REQUEST_BYTES = 4096
"""Of a description, which is repeated to everybody with each change of its publisher."""

Reason = rtc.RequestResponse.Reason


class DataTrackRefusal(Refusal):
    """Why a data track cannot be published; `reason` is what the request response says."""

    def __init__(self, reason: int, message: str) -> None:
        super().__init__("invalid_argument", message)
        self.reason = reason


class DataTrack:
    """One published data track."""

    __slots__ = ("identity", "info", "participant_sid", "subscribers")

    def __init__(self, info: models.DataTrackInfo, participant_sid: ParticipantSid, identity: Identity) -> None:
        self.info = info
        self.participant_sid = participant_sid
        self.identity = identity
        self.subscribers: dict[ParticipantSid, int] = {}
        """Sid of each subscriber to the handle that it knows the track by."""

    @property
    def sid(self) -> str:
        return self.info.sid


class DataTracks:
    """The data tracks that one participant publishes, by its handle."""

    __slots__ = ("_by_handle", "_max_tracks")

    def __init__(self, max_tracks: int) -> None:
        self._by_handle: dict[int, DataTrack] = {}
        self._max_tracks = max_tracks

    def check(self, request: rtc.PublishDataTrackRequest, max_encoding_length: int) -> None:
        """Raises DataTrackRefusal if the request cannot be granted."""
        if not 0 < request.pub_handle <= MAX_HANDLE:
            raise DataTrackRefusal(Reason.INVALID_HANDLE, "handle must be between 1 and 65535")
        if not 0 < len(request.name.encode()) <= MAX_NAME_LENGTH:
            raise DataTrackRefusal(Reason.INVALID_NAME, "name must have between 1 and 256 bytes")
        custom = request.frame_encoding.custom if request.frame_encoding.WhichOneof("value") == "custom" else None
        if custom is not None and not 0 < len(custom.encode()) <= max_encoding_length:
            raise DataTrackRefusal(
                Reason.INVALID_REQUEST, f"custom encoding must have between 1 and {max_encoding_length} bytes"
            )
        if request.ByteSize() > MAX_REQUEST_BYTES:
            raise DataTrackRefusal(Reason.LIMIT_EXCEEDED, "data track description too large")
        if request.pub_handle in self._by_handle:
            raise DataTrackRefusal(Reason.DUPLICATE_HANDLE, "handle is in use")
        if any(track.info.name == request.name for track in self._by_handle.values()):
            raise DataTrackRefusal(Reason.DUPLICATE_NAME, "name is in use")
        if len(self._by_handle) >= self._max_tracks:
            raise DataTrackRefusal(Reason.LIMIT_EXCEEDED, "too many data tracks")

    def add(self, track: DataTrack) -> None:
        self._by_handle[track.info.pub_handle] = track

    def pop(self, handle: int) -> DataTrack | None:
        return self._by_handle.pop(handle, None)

    def get(self, handle: int) -> DataTrack | None:
        return self._by_handle.get(handle)

    def clear(self) -> list[DataTrack]:
        tracks = list(self._by_handle.values())
        self._by_handle.clear()
        return tracks

    def infos(self) -> list[models.DataTrackInfo]:
        return [track.info for track in self._by_handle.values()]

    def __iter__(self) -> Iterator[DataTrack]:
        return iter(self._by_handle.values())


class DataSubscriptions:
    """The data tracks that one participant receives: its own handles, never reused soon."""

    __slots__ = ("_next", "_tracks")

    def __init__(self) -> None:
        self._tracks: dict[int, DataTrack] = {}
        self._next = 1

    def add(self, track: DataTrack, subscriber: ParticipantSid) -> bool:
        """Subscribe; False if it already is."""
        if subscriber in track.subscribers or len(self._tracks) >= MAX_HANDLE:
            return False
        while self._next in self._tracks:
            self._next = self._next % MAX_HANDLE + 1
        handle = self._next
        self._next = self._next % MAX_HANDLE + 1
        self._tracks[handle] = track
        track.subscribers[subscriber] = handle
        return True

    def remove(self, track: DataTrack, subscriber: ParticipantSid) -> bool:
        """Unsubscribe; False if it was not."""
        handle = track.subscribers.pop(subscriber, None)
        return handle is not None and self._tracks.pop(handle, None) is not None

    def message(self) -> rtc.SignalResponse:
        """The complete map of handles."""
        handles = rtc.DataTrackSubscriberHandles()
        for handle, track in self._tracks.items():
            entry = handles.sub_handles[handle]
            entry.publisher_identity = track.identity
            entry.publisher_sid = track.participant_sid
            entry.track_sid = track.sid
        return rtc.SignalResponse(data_track_subscriber_handles=handles)

    @property
    def tracks(self) -> list[DataTrack]:
        return list(self._tracks.values())


def handle_of(packet: bytes) -> int | None:
    """The publisher's handle in a data track packet, or None if it is too short to be one."""
    return int.from_bytes(packet[2:4], "big") if len(packet) >= HEADER_BYTES else None


def with_handle(packet: bytes, handle: int) -> bytes:
    """The packet under another handle."""
    return packet[:2] + handle.to_bytes(2, "big") + packet[4:]
