"""The RTP half of a transport: the kernel's session, the streams in it, and RTCP both ways.

Theory of operation. Until the keys come, SRTP waits in a short queue. Then a batch goes into the kernel in one call, and only
what the kernel has to say about it comes back: packets of unknown SSRCs go to `Streams` until they are bound, RTCP is
parsed, shown to `Reports` and handed on, everything else is the owner's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TypeAlias

from ..dtls import Completed
from ..errors import DropReason
from ..kernel import Kernel, Notice, NoticeKind
from ..outputs import Address
from ..rtcp import Packet, encode_compound, parse_compound
from .events import RtcpReceived, StreamNotice
from .reports import Reports
from .streams import ReceiveSection, Streams, StreamsEvent

_MAX_EARLY = 64
"""Datagrams kept until the keys are there: what a client sends within the last flight's round trip."""
_MAX_RTCP_BYTES = 1200

MediaEvent: TypeAlias = StreamsEvent | StreamNotice | RtcpReceived


class Media:
    """Everything SRTP of one transport. `open` once the handshake is done."""

    __slots__ = (
        "_drops",
        "_early",
        "_events",
        "_is_closed",
        "_kernel",
        "_leaving",
        "_reports",
        "_session",
        "_streams",
        "_told",
    )

    def __init__(self, kernel: Kernel, *, ssrc: int, max_ssrcs: int) -> None:
        self._kernel = kernel
        self._streams = Streams(kernel, limit=max_ssrcs)
        self._reports = Reports(kernel, self._streams, ssrc=ssrc)
        self._session: int | None = None
        self._is_closed = False
        self._leaving: int | None = None  # the session, once closed
        self._told = False  # in `poll_leaving`
        self._early: deque[bytes] = deque()
        self._events: list[MediaEvent] = []
        self._drops: Counter[DropReason] = Counter()

    # Input

    def handle_datagrams(self, now: float, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()) -> bool:
        """SRTP and SRTCP, oldest first, and when each came if not now. Whether there is anything new to poll, deadline
        included."""
        if self._session is None:
            self._keep_early(datagrams)
            return False
        notices = self._kernel.ingest(now, self._session, datagrams, arrivals)
        armed = self._reports.handle_arrival(now)
        if notices:
            self._handle_notices(now, notices)
            return True
        return armed

    def handle_timeout(self, now: float) -> None:
        self._reports.handle_timeout(now)

    # Commands

    def open(self, now: float, keys: Completed, path: tuple[Address, Address] | None) -> None:
        """Make the session, and take what waited for it."""
        self._session = self._kernel.open_session(keys.profile, keys.local_key, keys.remote_key)
        self.set_path(path)
        self._streams.open(self._session)
        self._reports.open(self._session)
        early = list(self._early)
        self._early.clear()
        if early:
            self.handle_datagrams(now, early)

    def set_path(self, path: tuple[Address, Address] | None) -> None:
        if self._session is not None and path is not None:
            self._kernel.set_path(self._session, *path)

    def set_sections(self, now: float, sections: Sequence[ReceiveSection]) -> None:
        notices = self._streams.set_sections(now, sections)
        self._reports.set_feedback(max((section.extensions.transport_cc for section in sections), default=0))
        self._events += self._streams.poll_events()
        self._handle_notices(now, notices)

    def set_proxied_loss(self, stream: int, fraction_lost: int) -> None:
        self._reports.set_proxied_loss(stream, fraction_lost)

    def send_rtcp(self, packets: Sequence[Packet]) -> None:
        """Nothing before the keys are there."""
        if self._session is not None:
            for compound in _compounds(packets):
                self._kernel.send_rtcp(self._session, compound)

    def release(self, slot: int) -> None:
        """The owner has read that a slot of `poll_leaving` is gone."""
        if slot == self._leaving:
            self._leaving = None
            self._kernel.close_session(slot)
        else:
            self._streams.release(slot)

    def close(self) -> None:
        """The session, its streams and the legs to and from it go away, in the kernel upon `release`."""
        self._is_closed = True
        self._streams.close()
        self._events += self._streams.poll_events()
        self._reports.close()
        self._leaving, self._session = self._session, None
        self._early.clear()

    # Output

    def poll_events(self) -> list[MediaEvent]:
        events, self._events = self._events, []
        return events

    def poll_leaving(self) -> list[int]:
        """Slots of streams, and at the end of the session, that events since the last call declared gone. They work on
        until `release`, so that nobody trips over a slot while the event that names it is still queued."""
        slots = self._streams.poll_leaving()
        if self._is_closed and self._leaving is not None and not self._told:
            self._told = True
            slots.append(self._leaving)
        return slots

    def poll_drops(self) -> dict[DropReason, int]:
        found = self._streams.poll_drops()
        if not found and not self._drops:
            return found
        drops, self._drops = self._drops, Counter()
        drops.update(found)
        return dict(drops)

    def poll_timeout(self) -> float | None:
        return self._reports.poll_timeout()

    # Getters

    @property
    def session(self) -> int | None:
        """The kernel's slot."""
        return self._session

    @property
    def last_arrival(self) -> float | None:
        """When the last authentic packet came."""
        return None if self._session is None else self._kernel.last_arrival(self._session)

    @property
    def rtt(self) -> float | None:
        return self._reports.rtt

    def sender_report(self, stream: int) -> tuple[int, int, float] | None:
        return self._reports.sender_report(stream)

    # Private

    def _keep_early(self, datagrams: Sequence[bytes]) -> None:
        if self._is_closed:
            self._drops[DropReason.TRANSPORT_CLOSED] += len(datagrams)
            return
        for data in datagrams:
            if len(self._early) >= _MAX_EARLY:
                self._early.popleft()
                self._drops[DropReason.SRTP_NO_KEYS] += 1
            self._early.append(data)

    def _handle_notices(self, now: float, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if notice.kind is NoticeKind.UNKNOWN_SSRC:
                replayed = self._streams.handle_unknown(now, notice.ssrc, notice.data)
                self._events += self._streams.poll_events()
                self._handle_notices(now, replayed)
            elif notice.kind is NoticeKind.RTCP:
                self._handle_rtcp(now, notice.data)
            else:
                self._events.append(StreamNotice(notice))

    def _handle_rtcp(self, now: float, data: bytes) -> None:
        packets = tuple(parse_compound(data))
        if not packets:
            self._drops[DropReason.RTCP_MALFORMED] += 1
            return
        self._reports.handle_rtcp(now, packets)
        self._events.append(RtcpReceived(packets))


def _compounds(packets: Sequence[Packet]) -> list[bytes]:
    """Encode in order, with as many packets in a compound as fit a datagram."""
    compounds: list[bytes] = []
    pending: list[bytes] = []
    size = 0
    for packet in packets:
        encoded = encode_compound((packet,))
        if pending and size + len(encoded) > _MAX_RTCP_BYTES:
            compounds.append(b"".join(pending))
            pending, size = [], 0
        pending.append(encoded)
        size += len(encoded)
    if pending:
        compounds.append(b"".join(pending))
    return compounds
