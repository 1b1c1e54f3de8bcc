"""How much may wait for one receiver of data: limits that follow how fast its channels drain.

Lossy packets and packets of data tracks are worth little when late. One is dropped if what waits before it takes longer than a
target latency and a round trip, at the rate at which the channel drained while it was full; if it never was, at the rate that
the congestion window gives. The round trip is there for what the window does not let out at once, so that a frame on a long
path is not cut short. A few packets may always wait, and more as long as the path's limit is not found: a window that still
opens says little (livekit/livekit has no limit before a rate is known).

Reliable packets are kept, up to a bound of memory. With a threshold set, a receiver that has had packets waiting for two seconds
and drains more slowly than that counts as stalled before the bound is reached. What happens to such a receiver is the room's
business: a gap in reliable data would be worse for it than to connect anew.

What is in flight is not counted: it waits for nobody but the network.
"""

from __future__ import annotations

from ..config import RtcConfig
from ..sctp import Path
from ..transport import Drain, PeerTransport

LEAST_WAITING_BYTES = 8192
"""May wait for any receiver, however slow (livekit/livekit's number)."""
UNSOUNDED_WAITING_BYTES = 262_144
"""May wait while no packet was lost on the path yet: a large frame of a data track."""
STALL_S = 2.0
"""livekit/livekit looks at as long a time."""


def is_late(now: float, rtc: RtcConfig, peer: PeerTransport, channel: int, target_latency: float) -> bool:
    """Whether an unreliable packet would come too late on that channel. A latency of 0 leaves only the bound of memory."""
    if not target_latency:
        return peer.buffered_bytes(channel) > rtc.datachannel_max_buffered
    drain = peer.drain_of(now, channel)
    waiting_bytes = peer.buffered_bytes(channel) if drain is None else drain.waiting_bytes
    if waiting_bytes <= LEAST_WAITING_BYTES:
        return False
    return waiting_bytes > _may_wait(drain, peer.data_path, target_latency)


def _may_wait(drain: Drain | None, path: Path | None, target_latency: float) -> float:
    if drain is None or path is None:
        return UNSOUNDED_WAITING_BYTES
    rate = drain.bytes_per_second
    if rate is None:
        rate = path.window_bytes / path.rtt
    return max(rate * (target_latency + path.rtt), UNSOUNDED_WAITING_BYTES if path.is_unsounded else 0)


def is_overdue(now: float, rtc: RtcConfig, peer: PeerTransport, channel: int, size_bytes: int) -> bool:
    """Whether a receiver of reliable packets is too slow to be sent one more."""
    if peer.buffered_bytes(channel) + size_bytes > rtc.datachannel_max_buffered:
        return True
    return bool(rtc.datachannel_slow_threshold) and _is_stalled(now, rtc.datachannel_slow_threshold, peer, channel)


def _is_stalled(now: float, threshold_bps: int, peer: PeerTransport, channel: int) -> bool:
    drain = peer.drain_of(now, channel)
    if drain is None or drain.waiting_since is None or now < drain.waiting_since + STALL_S:
        return False
    rate = drain.bytes_per_second
    return rate is not None and 8 * rate < threshold_bps
