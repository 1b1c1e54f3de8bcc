"""The SRTP half of one peer transport: keys, path, received SSRCs, and the transport-wide counters.

Datagrams are told apart by their second byte (RFC 5761 §4) and authenticated before any field moves state. Retransmissions
(RFC 4588) are taken apart here and handed to their stream as late packets. Arrivals and departures are noted for
draft-holmer-rmcat-transport-wide-cc-extensions-01; packets of SSRC 0, which probe bandwidth, count there and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

from ..entropy import Entropy, random_bits
from ..errors import DropReason, LocalProtocolError
from ..rtp import Header, RtpError, parse_extensions, parse_header
from ..seqnum import serial_difference
from .arena import Arena, Path
from .interface import Notice, NoticeKind, SentPacket, SrtpProfile
from .receive import Stream, require_ssrc
from .srtp import Srtp, drop_reason

MAX_ARRIVALS: Final = 8192
MAX_SENT: Final = 2048
_MIN_RTP_BYTES: Final = 12
_MIN_RTCP_BYTES: Final = 8


class Session:
    """One peer transport as the kernel sees it."""

    __slots__ = (
        "_arrivals", "_drops", "_entropy", "_last_transport_number", "_numbers", "_sent", "_ssrcs",
        "arena", "last_arrival", "legs", "outbound", "path", "sent_ssrcs", "slot", "srtp", "tag_bytes",
        "transport_cc_id", "transport_number",
    )  # fmt: skip

    def __init__(
        self, slot: int, profile: SrtpProfile, local_key: bytes, remote_key: bytes, *,
        arena: Arena, entropy: Entropy, drops: dict[DropReason, int],
    ) -> None:  # fmt: skip
        self.slot = slot
        self.arena = arena
        self.srtp = Srtp(profile, local_key, remote_key)
        self.outbound = self.srtp.outbound
        self.tag_bytes = self.srtp.tag_bytes
        self.path: Path | None = None
        self.legs: set[int] = set()
        self.sent_ssrcs: set[int] = set()  # of legs, their RTX included
        self.last_arrival: float | None = None
        self.transport_cc_id = 0
        """Extension of the transport-wide numbers received; 0 while unknown."""
        self.transport_number = 0
        """Of the last packet sent with a transport-wide number, extended."""
        self._drops = drops
        self._entropy = entropy
        self._ssrcs: dict[int, tuple[Stream, bool]] = {}  # to its stream, and whether it is the RTX SSRC
        self._numbers: dict[int, int] = {}  # last sequence number of SSRCs no longer sent
        self._last_transport_number = -1  # received, extended
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=MAX_ARRIVALS)
        self._sent: deque[tuple[int, float, int, bool]] = deque(maxlen=MAX_SENT)

    def handle_datagrams(
        self, now: float, datagrams: Iterable[bytes], arrivals: Sequence[float], notices: list[Notice]
    ) -> list[Stream]:
        """Take in a burst; returns the streams that got packets, which lie in their `pending`."""
        touched: list[Stream] = []
        for data, at in zip(datagrams, arrivals or repeat(now)):  # noqa: B905 - repeats for ever
            if len(data) < _MIN_RTCP_BYTES:
                self._drop(DropReason.TOO_SHORT)
            elif 192 <= data[1] <= 223:
                self._handle_rtcp(now, data, notices)
            else:
                self._handle_rtp(now, at, data, notices, touched)
        return touched

    def handle_plain(self, now: float, packets: Iterable[bytes], notices: list[Notice]) -> list[Stream]:
        """Take in packets that were decrypted before."""
        touched: list[Stream] = []
        for data in packets:
            try:
                header = parse_header(data)
                extensions = parse_extensions(data, header)
            except RtpError:
                self._drop(DropReason.RTP_MALFORMED)
            else:
                self._handle_packet(now, data, header, extensions, notices, touched)
        return touched

    def add_stream(self, stream: Stream) -> None:
        spec = stream.spec
        ssrc = require_ssrc(spec.ssrc)
        if ssrc in self._ssrcs:
            raise LocalProtocolError(f"SSRC {ssrc} is taken in this session")
        if spec.rtx_ssrc:
            self._claim_rtx(stream, spec.rtx_ssrc)
        self._ssrcs[ssrc] = (stream, False)
        self.transport_cc_id = spec.extensions.transport_cc or self.transport_cc_id

    def remove_stream(self, stream: Stream) -> None:
        for ssrc in (stream.spec.ssrc, stream.rtx_ssrc):
            if ssrc in self._ssrcs and self._ssrcs[ssrc][0] is stream:
                del self._ssrcs[ssrc]

    def set_rtx(self, stream: Stream, rtx_ssrc: int) -> None:
        """Pair a stream with its RTX SSRC; the pairing before it ends."""
        if rtx_ssrc == stream.rtx_ssrc:
            return
        if rtx_ssrc:
            self._claim_rtx(stream, rtx_ssrc)
        self._ssrcs.pop(stream.rtx_ssrc, None)
        stream.rtx_ssrc = rtx_ssrc

    def streams(self) -> list[Stream]:
        return [stream for stream, is_rtx in self._ssrcs.values() if not is_rtx]

    def claim_ssrc(self, ssrc: int) -> int:
        """An SSRC will be sent. Returns the sequence number to continue from: where it ended if it was sent before, else
        the one before a random number below 2^15, so that the first packets lost do not hide a wrap (RFC 3711 §3.3.1)."""
        require_ssrc(ssrc)
        if ssrc in self.sent_ssrcs:
            raise LocalProtocolError(f"SSRC {ssrc} is already sent in this session")
        self.sent_ssrcs.add(ssrc)
        self.srtp.revive(ssrc)
        last = self._numbers.pop(ssrc, None)
        return random_bits(self._entropy, 15) - 1 if last is None else last

    def release_ssrc(self, ssrc: int, last_number: int) -> None:
        """An SSRC is not sent any more; its numbering is kept while libsrtp's context of it is."""
        self.sent_ssrcs.discard(ssrc)
        self._numbers[ssrc] = last_number
        gone = self.srtp.retire(ssrc)
        if gone is not None:
            self._numbers.pop(gone, None)

    def send_rtcp(self, packet: bytes) -> None:
        if self.path is None:
            return
        protected = self.srtp.protect_rtcp(packet)
        if protected is None:
            raise LocalProtocolError("not an RTCP packet")
        self.arena.add(self.path, protected)

    def note_sent(self, now: float, size_bytes: int, is_retransmission: bool) -> None:
        """The packet with the current `transport_number` left."""
        self._sent.append((self.transport_number, now, size_bytes, is_retransmission))

    def take_arrivals(self) -> list[tuple[int, float]]:
        arrivals = list(self._arrivals)
        self._arrivals.clear()
        return arrivals

    def take_sent(self) -> list[SentPacket]:
        sent = [SentPacket(*one) for one in self._sent]
        self._sent.clear()
        return sent

    def _handle_rtcp(self, now: float, data: bytes, notices: list[Notice]) -> None:
        plain = self.srtp.unprotect_rtcp(data)
        if isinstance(plain, int):
            self._drop(drop_reason(plain))
            return
        ssrc = int.from_bytes(plain[4:8], "big")
        if not self.srtp.note_inbound(ssrc, self._ssrcs):
            self._drop(DropReason.RTP_SSRC_LIMIT)
            return
        self.last_arrival = now
        notices.append(Notice(NoticeKind.RTCP, ssrc=ssrc, data=plain))

    def _handle_rtp(self, now: float, at: float, data: bytes, notices: list[Notice], touched: list[Stream]) -> None:
        if len(data) < _MIN_RTP_BYTES or data[0] >> 6 != 2:
            self._drop(DropReason.SRTP_MALFORMED)
            return
        plain = self.srtp.unprotect(data)
        if isinstance(plain, int):
            self._drop(drop_reason(plain))
            return
        self.last_arrival = now
        try:
            header = parse_header(plain)
            extensions = parse_extensions(plain, header)
        except RtpError:
            # Its context counts all the same, or they would grow without end.
            self.srtp.note_inbound(int.from_bytes(plain[8:12], "big"), self._ssrcs)
            self._drop(DropReason.RTP_MALFORMED)
            return
        if self.transport_cc_id:
            self._note_arrival(at, extensions)
        self._handle_packet(at, plain, header, extensions, notices, touched)

    def _note_arrival(self, at: float, extensions: dict[int, bytes]) -> None:
        value = extensions.get(self.transport_cc_id)
        if value is None or len(value) != 2:
            return
        number = value[0] << 8 | value[1]
        last = self._last_transport_number
        if last >= 0:
            number = last + serial_difference(number, last & 0xFFFF)
            if number < 0:
                return
        self._last_transport_number = max(last, number)
        self._arrivals.append((number, at))

    def _handle_packet(
        self, at: float, data: bytes, header: Header, extensions: dict[int, bytes], notices: list[Notice],
        touched: list[Stream],
    ) -> None:  # fmt: skip
        marker, payload_type, sequence_number, timestamp, ssrc, _, _, _, _, start, end, _ = header
        found = self._ssrcs.get(ssrc)
        if not self.srtp.note_inbound(ssrc, self._ssrcs):
            self._drop(DropReason.RTP_SSRC_LIMIT)
            return
        if found is None:
            if ssrc:
                notices.append(Notice(NoticeKind.UNKNOWN_SSRC, ssrc=ssrc, data=data))
            else:
                self._drop(DropReason.RTP_PADDING_ONLY)
            return
        stream, is_rtx = found
        if is_rtx:
            repaired = stream.spec.rtx_payload_types.get(payload_type)
            if repaired is None or end - start < 3:
                # Without payload behind the original number it is a probe.
                self._drop(DropReason.RTP_UNKNOWN_PAYLOAD_TYPE if repaired is None else DropReason.RTP_PADDING_ONLY)
                return
            payload_type = repaired
            sequence_number = data[start] << 8 | data[start + 1]
            start += 2
        pending = stream.pending
        if not pending:
            touched.append(stream)
        reason = stream.handle_packet(
            at, sequence_number, timestamp, 0x80 if marker else 0, payload_type, data[start:end], start, extensions,
            is_rtx, notices,
        )  # fmt: skip
        if reason is not None:
            self._drop(reason)

    def _claim_rtx(self, stream: Stream, rtx_ssrc: int) -> None:
        if require_ssrc(rtx_ssrc) in self._ssrcs or rtx_ssrc == stream.spec.ssrc:
            raise LocalProtocolError(f"SSRC {rtx_ssrc} is taken in this session")
        self._ssrcs[rtx_ssrc] = (stream, True)

    def _drop(self, reason: DropReason) -> None:
        self._drops[reason] = self._drops.get(reason, 0) + 1
