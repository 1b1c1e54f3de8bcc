"""Data channels over one SCTP association: RFC 8831, established by DCEP (RFC 8832).

Theory of operation. A channel has an id of ours, given out before the DTLS role and with it the parity of stream ids are
known; its stream follows at `start`. Its life:

    open()         NEW --start--> OPENING --ACK--> OPEN
    OPEN comes                                     OPEN
    close()        any --> CLOSING  (our stream is being reset)
    peer's reset   any --> closed for the owner at once; our half is reset in turn

A stream id is used again only when both halves are reset (RFC 8831 §6.7), which `_resetting` keeps track of. Unordered
messages may overtake the OPEN of their channel; a few are kept until it comes. Negotiated (out of band) channels, and the
deprecated partial PPIDs, are left out.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TypeAlias

import attrs

from ..entropy import Entropy
from ..errors import DropReason, LocalProtocolError
from ..sctp.association import Association
from ..sctp.config import SctpConfig
from ..sctp.congestion import Path
from ..sctp.dcep import ACK, DcepError, Open, Ppid, parse
from ..sctp.events import AssociationClosed, Established, Message, ResetDone, Restarted, SctpEvent, StreamsReset
from ..sctp.states import AssociationState
from .drain import Drain

MAX_CHANNELS = 256
"""Open at one time; LiveKit's clients use three."""
_MAX_RESETTING = 4 * MAX_CHANNELS
"""Streams whose reset the peer may leave half done."""
_STREAMS = 65_535
_EARLY_BYTES = 65_536
_EARLY_MESSAGES = 64
_EMPTY = {Ppid.STRING_EMPTY, Ppid.BINARY_EMPTY}
_DELIVERED = {Ppid.STRING: False, Ppid.STRING_EMPTY: False, Ppid.BINARY: True, Ppid.BINARY_EMPTY: True}
"""PPIDs of user messages, and whether the message is binary."""


@attrs.frozen(kw_only=True)
class ChannelOpened:
    """A channel may be used: the peer opened it, or acknowledged ours."""

    channel: int
    label: str
    ordered: bool
    max_retransmits: int | None
    by_peer: bool


@attrs.frozen(kw_only=True)
class ChannelMessage:
    """One message; text is UTF-8 as it came, unchecked."""

    channel: int
    label: str
    data: bytes
    binary: bool


@attrs.frozen
class ChannelClosed:
    """The channel is gone, by either side. Nothing more comes from it."""

    channel: int
    label: str


@attrs.frozen
class ChannelsDown:
    """The association is over and all channels with it; no `ChannelClosed` follows for each."""

    reason: str


ChannelEvent: TypeAlias = ChannelOpened | ChannelMessage | ChannelClosed | ChannelsDown


class _Phase(Enum):
    NEW = "new"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"


class _Channel:
    __slots__ = ("drain", "early", "early_bytes", "id", "is_ours", "open", "phase", "sent_bytes", "stream")

    def __init__(self, channel: int, opening: Open, phase: _Phase, *, stream: int, is_ours: bool) -> None:
        self.id = channel
        self.open = opening
        self.phase = phase
        self.stream = stream
        self.is_ours = is_ours
        self.early: list[tuple[bytes, bool]] = []  # sent before there was a stream
        self.early_bytes = 0
        self.sent_bytes = 0  # handed to the association
        self.drain = Drain()


class DataChannels:
    """All data channels of one peer. Owns the association."""

    __slots__ = (
        "_association",
        "_backlogged",
        "_by_stream",
        "_channels",
        "_config",
        "_drops",
        "_early",
        "_early_bytes",
        "_events",
        "_is_up",
        "_max_message_size",
        "_next_channel",
        "_next_stream",
        "_resetting",
    )

    def __init__(
        self,
        *,
        entropy: Entropy,
        config: SctpConfig = SctpConfig(),  # noqa: B008 - frozen
        max_message_size: int = 65_535,
    ) -> None:
        self._config = config
        self._association = Association(entropy=entropy, config=config)
        self._max_message_size = max_message_size
        self._channels: dict[int, _Channel] = {}
        self._by_stream: dict[int, _Channel] = {}
        self._backlogged: dict[int, _Channel] = {}  # those whose drain is being measured
        self._resetting: dict[int, set[str]] = {}  # closing stream to the halves that are still open: "ours", "theirs"
        self._next_channel = 0
        self._next_stream: int | None = None  # known from the start on
        self._early: deque[Message] = deque()  # of streams whose OPEN has not come
        self._early_bytes = 0
        self._is_up = True
        self._events: list[ChannelEvent] = []
        self._drops: dict[DropReason, int] = {}

    # Input

    def handle_packet(self, now: float, data: bytes) -> None:
        """The plaintext of one DTLS record."""
        self._association.handle_packet(now, data)
        self._measure(now)
        self._drain(now)

    def handle_timeout(self, now: float) -> None:
        self._association.handle_timeout(now)
        self._drain(now)

    # Commands

    def start(self, now: float, is_dtls_client: bool) -> None:
        """DTLS is up. The client's streams are even, the server's odd (RFC 8832 §6)."""
        if self._next_stream is not None:
            return
        self._next_stream = 0 if is_dtls_client else 1
        self._association.start(now)
        for channel in list(self._channels.values()):
            if channel.phase is _Phase.NEW:
                self._announce(now, channel)
        self._drain(now)

    def open(
        self, now: float, label: str, *, ordered: bool = True, max_retransmits: int | None = None, protocol: str = ""
    ) -> int:
        """A new channel; may be used at once, `ChannelOpened` tells when the peer has agreed."""
        if len(self._channels) >= MAX_CHANNELS:
            raise LocalProtocolError("too many data channels")
        opening = Open(label=label, protocol=protocol, ordered=ordered, max_retransmits=max_retransmits)
        channel = self._add(opening, _Phase.NEW, stream=-1, is_ours=True)
        if self._next_stream is not None and self._is_up:
            self._announce(now, channel)
        return channel.id

    def close(self, now: float, channel: int) -> None:
        """Close after what was sent is through; `ChannelClosed` follows. Unknown and closing ones are left alone."""
        known = self._channels.get(channel)
        if known is None or known.phase is _Phase.CLOSING:
            return
        if known.phase is _Phase.NEW:
            self._forget(known)
            return
        known.phase = _Phase.CLOSING
        if self._association.can_reset:
            self._reset(now, known.stream, {"ours", "theirs"})
        else:
            self._forget(known)
        self._drain(now)

    def send(self, now: float, channel: int, data: bytes, *, binary: bool = True) -> bool:
        """Queue a message. False if it was dropped since the channel is closed or too much is queued already."""
        known = self._channels.get(channel)
        if known is None:
            if 0 <= channel < self._next_channel:
                return False  # closed, and the owner may not have seen it yet
            raise LocalProtocolError(f"no data channel {channel}")
        if len(data) > self._max_message_size:
            raise LocalProtocolError(f"message of {len(data)} bytes, {self._max_message_size} are allowed")
        if known.phase is _Phase.NEW:
            if known.early_bytes + len(data) > self._config.send_buffer_bytes:
                return False
            known.early.append((data, binary))
            known.early_bytes += len(data)
            return True
        return known.phase is not _Phase.CLOSING and self._send(now, known, data, binary)

    def abort(self, now: float, reason: str) -> None:
        """End the association at once."""
        self._association.abort(now, reason)
        self._drain(now)

    # Output

    def poll_transmits(self) -> list[bytes]:
        """SCTP packets, each for one DTLS record."""
        return self._association.poll_transmits()

    def poll_events(self) -> list[ChannelEvent]:
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        return self._association.poll_timeout()

    def poll_drops(self) -> dict[DropReason, int]:
        drops, self._drops = self._drops, {}
        for reason, count in self._association.poll_drops().items():
            drops[reason] = drops.get(reason, 0) + count
        return drops

    # Getters

    def buffered_bytes(self, channel: int) -> int:
        """Bytes sent on the channel that the peer has not acknowledged yet; 0 for an unknown one."""
        known = self._channels.get(channel)
        if known is None:
            return 0
        return known.early_bytes if known.stream < 0 else self._association.buffered_bytes(known.stream)

    def drain(self, now: float, channel: int) -> Drain | None:
        """How fast the channel drains, and what waits; None for one that is closed or has no stream yet."""
        known = self._channels.get(channel)
        if known is None or known.stream < 0:
            return None
        self._sample(now, known)
        return known.drain

    @property
    def path(self) -> Path | None:
        """What all channels together have to share, once it is known."""
        return self._association.path

    def is_open(self, channel: int) -> bool:
        known = self._channels.get(channel)
        return known is not None and known.phase is _Phase.OPEN

    @property
    def state(self) -> AssociationState:
        return self._association.state

    # What the association says

    def _drain(self, now: float) -> None:
        while events := self._association.poll_events():  # what is done here may make more
            for event in events:
                self._handle_event(now, event)

    def _handle_event(self, now: float, event: SctpEvent) -> None:
        match event:
            case Message():
                self._handle_message(now, event)
            case StreamsReset():
                self._handle_streams_reset(now, event.streams)
            case ResetDone():
                for stream in event.streams:
                    self._finish_half(stream, "ours")
            case Restarted():
                self._handle_restart(now)
            case AssociationClosed():
                self._handle_closed(event.reason)
            case Established():
                pass  # messages wait in the association; nothing to do here

    def _handle_message(self, now: float, message: Message) -> None:
        if message.ppid == Ppid.DCEP:
            self._handle_dcep(now, message)
            return
        channel = self._by_stream.get(message.stream)
        if channel is None:
            self._keep_early(message)
        else:
            self._deliver(channel, message)

    def _deliver(self, channel: _Channel, message: Message) -> None:
        binary = _DELIVERED.get(message.ppid)  # type: ignore[call-overload]
        data = b"" if message.ppid in _EMPTY else message.data
        if binary is None:
            self._drop(DropReason.SCTP_UNEXPECTED)
        elif len(data) > self._max_message_size:
            self._drop(DropReason.DATA_TOO_LARGE)
        else:
            self._events.append(ChannelMessage(channel=channel.id, label=channel.open.label, data=data, binary=binary))

    def _keep_early(self, message: Message) -> None:
        """Nobody has opened this stream, yet."""
        self._early.append(message)
        self._early_bytes += len(message.data)
        while self._early_bytes > _EARLY_BYTES or len(self._early) > _EARLY_MESSAGES:
            self._early_bytes -= len(self._early.popleft().data)
            self._drop(DropReason.DATA_NO_RECEIVER)

    def _handle_dcep(self, now: float, message: Message) -> None:
        try:
            opening = parse(message.data)
        except DcepError:
            self._drop(DropReason.DCEP_MALFORMED)
            return
        if opening is None:
            self._handle_ack(message.stream)
        else:
            self._handle_open(now, message.stream, opening)

    def _handle_ack(self, stream: int) -> None:
        channel = self._by_stream.get(stream)
        if channel is not None and channel.phase is _Phase.OPENING:
            channel.phase = _Phase.OPEN
            self._report_open(channel)

    def _handle_open(self, now: float, stream: int, opening: Open) -> None:
        known = self._by_stream.get(stream)
        if known is not None:  # the stream is in use: an error of the peer, which costs it this channel
            self._drop(DropReason.DCEP_MALFORMED)
            self.close(now, known.id)
            return
        self._finish_half(stream, "theirs")
        if len(self._channels) >= MAX_CHANNELS:
            self._drop(DropReason.DATA_NO_RECEIVER)
            self._reset(now, stream, {"ours", "theirs"})
            return
        channel = self._add(opening, _Phase.OPEN, stream=stream, is_ours=False)
        self._association.send(now, stream, ACK, ppid=Ppid.DCEP)
        channel.sent_bytes = len(ACK)
        self._report_open(channel)
        for message in self._take_early(stream):
            self._deliver(channel, message)

    def _take_early(self, stream: int) -> list[Message]:
        taken = [message for message in self._early if message.stream == stream]
        if taken:
            self._early = deque(message for message in self._early if message.stream != stream)
            self._early_bytes = sum(len(message.data) for message in self._early)
        return taken

    def _handle_streams_reset(self, now: float, streams: tuple[int, ...]) -> None:
        """The peer closed its half; ours follows. No names mean all streams."""
        for stream in streams or tuple(self._by_stream):
            channel = self._by_stream.get(stream)
            if channel is not None:
                is_closing = channel.phase is _Phase.CLOSING
                self._forget(channel)
                if not is_closing:
                    self._reset(now, stream, {"ours"})
            self._finish_half(stream, "theirs")

    def _handle_restart(self, now: float) -> None:
        """The peer knows no channel any more: its own are gone, ours are opened again."""
        self._resetting.clear()
        self._early.clear()
        self._early_bytes = 0
        for channel in list(self._channels.values()):
            if channel.is_ours and channel.phase is not _Phase.CLOSING:
                channel.phase = _Phase.NEW
                del self._by_stream[channel.stream]
                self._announce(now, channel)
            else:
                self._forget(channel)

    def _handle_closed(self, reason: str) -> None:
        self._is_up = False
        self._channels.clear()
        self._by_stream.clear()
        self._backlogged.clear()
        self._resetting.clear()
        self._early.clear()
        self._events.append(ChannelsDown(reason))

    # Channels

    def _add(self, opening: Open, phase: _Phase, *, stream: int, is_ours: bool) -> _Channel:
        channel = _Channel(self._next_channel, opening, phase, stream=stream, is_ours=is_ours)
        self._next_channel += 1
        self._channels[channel.id] = channel
        if stream >= 0:
            self._by_stream[stream] = channel
        return channel

    def _announce(self, now: float, channel: _Channel) -> None:
        """Give a channel of ours its stream and tell the peer; what was sent before follows."""
        channel.stream = self._free_stream()
        channel.phase = _Phase.OPENING
        self._by_stream[channel.stream] = channel
        opening = channel.open.encode()
        self._association.send(now, channel.stream, opening, ppid=Ppid.DCEP)
        channel.sent_bytes, channel.drain = len(opening), Drain()
        early, channel.early, channel.early_bytes = channel.early, [], 0
        for data, binary in early:
            self._send(now, channel, data, binary)

    def _send(self, now: float, channel: _Channel, data: bytes, binary: bool) -> bool:
        opening = channel.open
        ppid = Ppid.BINARY if binary else Ppid.STRING
        if not data:
            data, ppid = b"\0", Ppid.BINARY_EMPTY if binary else Ppid.STRING_EMPTY
        self._sample(now, channel)
        accepted = self._association.send(
            now,
            channel.stream,
            data,
            ppid=ppid,
            # Until the peer has agreed nothing may overtake the OPEN (RFC 8832 §6).
            ordered=opening.ordered or channel.phase is not _Phase.OPEN,
            max_retransmits=opening.max_retransmits,
            lifetime=None if opening.max_lifetime_ms is None else opening.max_lifetime_ms / 1000,
        )
        if accepted:
            channel.sent_bytes += len(data)
            self._sample(now, channel)
        return accepted

    def _measure(self, now: float) -> None:
        for channel in list(self._backlogged.values()):
            self._sample(now, channel)

    def _sample(self, now: float, channel: _Channel) -> None:
        association, stream = self._association, channel.stream
        waiting_bytes = association.waiting_bytes(stream)
        drained_bytes = channel.sent_bytes - association.buffered_bytes(stream)
        channel.drain.add_sample(now, drained_bytes=drained_bytes, waiting_bytes=waiting_bytes)
        if waiting_bytes:
            self._backlogged[channel.id] = channel
        else:
            self._backlogged.pop(channel.id, None)

    def _free_stream(self) -> int:
        """The next stream of our parity; ids are not used again soon, so that late resets hit nobody."""
        assert self._next_stream is not None
        stream = self._next_stream
        while stream in self._by_stream or stream in self._resetting:
            stream = self._after(stream)
        self._next_stream = self._after(stream)
        return stream

    @staticmethod
    def _after(stream: int) -> int:
        return stream + 2 if stream + 2 < _STREAMS else stream & 1

    def _reset(self, now: float, stream: int, halves: set[str]) -> None:
        """Reset our half; the id is taken until all of `halves` are."""
        if len(self._resetting) >= _MAX_RESETTING:
            self._association.abort(now, "too many data channels")
            return
        self._resetting.setdefault(stream, set()).update(halves)
        self._association.reset_stream(now, stream)

    def _finish_half(self, stream: int, half: str) -> None:
        halves = self._resetting.get(stream)
        if halves is None:
            return
        halves.discard(half)
        if not halves:
            del self._resetting[stream]

    def _forget(self, channel: _Channel) -> None:
        """The channel is gone for its owner."""
        del self._channels[channel.id]
        self._backlogged.pop(channel.id, None)
        if channel.stream >= 0:
            self._by_stream.pop(channel.stream, None)
        self._events.append(ChannelClosed(channel.id, channel.open.label))

    def _report_open(self, channel: _Channel) -> None:
        opening = channel.open
        self._events.append(
            ChannelOpened(
                channel=channel.id,
                label=opening.label,
                ordered=opening.ordered,
                max_retransmits=opening.max_retransmits,
                by_peer=not channel.is_ours,
            )
        )

    def _drop(self, reason: DropReason) -> None:
        self._drops[reason] = self._drops.get(reason, 0) + 1
