"""The kernel as one participant sees it: what all share, for whatever transports want of it, and beside it what a client needs.

Kernels forward packets and do not show them. So RTP of our own goes out through a `Sealer`, and what comes in is decrypted a
second time for those who measure how long it was under way. Publishers write into each packet when it was sent; publishers and
listeners share one monotonic clock, so that nothing needs to be synchronised. A packet that was sent again is on its way from its
first sending until it is there, and one that comes twice counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Final

from ..kernel import Kernel, Notice, SrtpProfile
from ..kernel.arena import Path
from ..kernel.packets import Packet
from ..kernel.srtp import Srtp
from ..outputs import Address
from ..sim.media import Stamp, find_stamp
from .histogram import Histogram
from .sealing import Sealer

_MOST_KNOWN: Final = 512
"""Packets remembered, to know those that come again."""


class _Session:
    """The SRTP of one transport, on our side of the kernel."""

    __slots__ = ("_keys", "_srtp", "path")

    def __init__(self, profile: SrtpProfile, local_key: bytes, remote_key: bytes) -> None:
        self._keys = (profile, local_key, remote_key)
        self._srtp: Srtp | None = None
        self.path: Path | None = None

    @property
    def srtp(self) -> Srtp:
        """Made at its first use: who only counts has none."""
        if self._srtp is None:
            self._srtp = Srtp(*self._keys)
        return self._srtp


class LoadKernel:
    """See the module's text."""

    def __init__(self, inner: Kernel, sealer: Sealer, *, listens: bool) -> None:
        """`listens`: read the stamps of what comes."""
        self.latency: dict[int, Histogram] = {}
        """How long packets were under way, by payload type."""
        self._inner = inner
        self._sealer = sealer
        self._listens = listens
        self._sessions: dict[int, _Session] = {}
        self._known: dict[int, None] = {}
        # All else is the kernel's own affair.
        self.add_stream = inner.add_stream
        self.set_rtx = inner.set_rtx
        self.remove_stream = inner.remove_stream
        self.watch_key_frames = inner.watch_key_frames
        self.inject_received = inner.inject_received
        self.has_packet = inner.has_packet
        self.stream_stats = inner.stream_stats
        self.take_audio_level = inner.take_audio_level
        self.set_transport_cc = inner.set_transport_cc
        self.take_arrivals = inner.take_arrivals
        self.last_arrival = inner.last_arrival
        self.add_leg = inner.add_leg
        self.set_leg = inner.set_leg
        self.remove_leg = inner.remove_leg
        self.switch = inner.switch
        self.detach = inner.detach
        self.inject = inner.inject
        self.retransmit = inner.retransmit
        self.leg_stats = inner.leg_stats
        self.send_rtcp = inner.send_rtcp
        self.take_sent = inner.take_sent
        self.poll_transmits = inner.poll_transmits
        self.poll_drops = inner.poll_drops

    def open_session(self, profile: SrtpProfile, local_key: bytes, remote_key: bytes) -> int:
        slot = self._inner.open_session(profile, local_key, remote_key)
        self._sessions[slot] = _Session(profile, local_key, remote_key)
        return slot

    def close_session(self, session: int) -> None:
        self._inner.close_session(session)
        del self._sessions[session]

    def set_path(self, session: int, local: Address, remote: Address) -> None:
        self._inner.set_path(session, local, remote)
        self._sessions[session].path = (local, remote)

    def ingest(
        self, now: float, session: int, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()
    ) -> list[Notice]:
        if self._listens:
            srtp = self._sessions[session].srtp
            for data, came in zip(datagrams, arrivals or repeat(now)):  # noqa: B905 - repeats for ever
                if len(data) >= 12 and not 192 <= data[1] <= 223:
                    self._listen(srtp, data, came)
        return self._inner.ingest(now, session, datagrams, arrivals)

    def take_packets(self) -> list[tuple[int, list[Packet]]]:
        return []

    def send_rtp(self, session: int, packet: bytes) -> bool:
        found = self._sessions[session]
        if found.path is None:
            return False
        self._sealer.add(found.srtp, found.path, packet)
        return True

    def _listen(self, srtp: Srtp, data: bytes, came: float) -> None:
        plain = srtp.unprotect(data)
        if isinstance(plain, int) or not srtp.note_inbound(int.from_bytes(plain[8:12], "big"), ()):
            return
        stamp = find_stamp(_payload(plain))
        if stamp is not None and self._is_new(stamp):
            histogram = self.latency.setdefault(plain[1] & 0x7F, Histogram())
            histogram.add(came - stamp.sent_us * 1e-6)

    def _is_new(self, stamp: Stamp) -> bool:
        key = ((stamp.source << 32 | stamp.frame) << 8 | stamp.layer) << 8 | stamp.part
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return True


def _payload(packet: bytes) -> bytes:
    """What stands behind the header of a packet that libsrtp took, so that its lengths are sound (RFC 3550 §5.1)."""
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return packet[start:]
