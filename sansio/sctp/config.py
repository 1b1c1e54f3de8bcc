"""What an association may be told: sizes, limits and times, with the values of the stacks it meets."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class SctpConfig:
    """Tunables of one association. Times are seconds."""

    mtu_bytes: int = 1191
    """Largest SCTP packet. With DTLS, UDP and IP around it the datagram stays below 1280 (dcsctp and pion send as much)."""
    receive_window_bytes: int = 1 << 20
    """Most that is held for the peer between arrival and delivery; announced as a_rwnd (pion 1 MiB, dcsctp 5 MiB)."""
    receive_window_chunks: int = 16_384
    """How far above the cumulative TSN a chunk may lie (pion 2,000 to 40,000)."""
    max_message_bytes: int = 262_144
    """A message that grows beyond this while it is put together ends the association."""
    send_buffer_bytes: int = 16 << 20
    """Queued and unacknowledged bytes beyond which `send` declines."""
    send_window_chunks: int = 4096
    """How far above the acknowledged TSN new chunks may go; else a peer could acknowledge all but one for ever."""
    streams: int = 65_535
    """Streams asked for and offered (dcsctp and aiortc: the same)."""
    zero_checksum: bool = True
    """Whether to say that packets without CRC-32c are fine, as DTLS protects them already (RFC 9653)."""
    initial_window_mtus: int = 10
    """First congestion window (dcsctp 10, RFC 9260 about 4)."""
    max_burst: int = 4
    """Packets sent at one go (RFC 9260 §6.1 D)."""
    handshake_timeout: float = 0.5
    """Until INIT is repeated first; doubles. COOKIE ECHO goes by the measured round trip once there is one."""
    max_handshake_retransmits: int = 8
    initial_rto: float = 0.5
    """Before a round trip was measured (dcsctp 0.5, pion 1)."""
    min_rto: float = 0.4
    max_rto: float = 60.0
    max_backoff: float = 3.0
    """Ceiling of a doubled timer: libwebrtc's, so that a path that comes back is used at once."""
    sack_delay: float = 0.2
    cookie_lifetime: float = 60.0
