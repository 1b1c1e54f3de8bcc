"""The kernel: all work per packet, behind one interface with two implementations.

Policy (rooms, receivers, down tracks) writes plain data here when a decision changes; the kernel reads it for each packet.
Steady forwarding to n subscribers so runs no policy code per subscriber. `pure.py` is the specification; a compiled twin
must give the same bytes, notices and counters for the same calls.

Nouns. A *session* is the SRTP half of one peer transport: two keys, one 5-tuple to send to, one transport-wide counter per
direction. A *stream* is one received SSRC of a session, with its history of decrypted packets (the retransmissions that
belong to it are folded in). A *leg* carries packets of one stream to one session under an SSRC and numbering of its own.

Numbers. Sequence numbers and timestamps inside are extended (64 bit, wrap removed). `position` is the extended sequence
number of a packet in its stream, and is the way to name a packet to the kernel.

Order. `ingest` takes what one session received since the last call. It decrypts, parses and remembers all of it first,
then runs subscriber-major: leg by leg, all packets of the burst for that leg. Then it returns notices, in order of arrival,
about what policy may care about; a notice never holds a packet back on a steady leg. Policy answers a KEY_FRAME notice
with `switch`, which sends that packet and whatever came after it in the same stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

import attrs

from ..errors import DropReason
from ..outputs import Address, Batch


class SrtpProfile(IntEnum):
    """DTLS-SRTP protection profiles (RFC 5764 §4.1.2, RFC 7714 §14.2)."""

    AES128_CM_SHA1_80 = 0x0001
    AEAD_AES_128_GCM = 0x0007
    AEAD_AES_256_GCM = 0x0008


class Codec(Enum):
    """How a stream's payload is read and a leg's payload written."""

    OPAQUE = "opaque"
    """Nothing is read from the payload (PCM, Opus, unknown)."""
    OPUS = "opus"
    RED = "red"
    VP8 = "vp8"
    VP9 = "vp9"
    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"


class ExtensionIds(NamedTuple):
    """Header extension ids of one m-section (RFC 8285); 0 where not negotiated."""

    mid: int = 0
    rid: int = 0
    repaired_rid: int = 0
    audio_level: int = 0
    transport_cc: int = 0
    abs_send_time: int = 0
    abs_capture_time: int = 0
    dependency_descriptor: int = 0
    playout_delay: int = 0
    mixed: bool = False
    """Whether `a=extmap-allow-mixed` was agreed, so that two-byte headers may be used."""


@attrs.frozen(kw_only=True)
class StreamSpec:
    """What the kernel must know of a received SSRC."""

    ssrc: int
    clock_rate: int
    is_audio: bool
    codecs: dict[int, Codec]
    """Payload types that may occur, without RTX."""
    extensions: ExtensionIds
    rtx_ssrc: int = 0
    """SSRC of its retransmissions, 0 if none is known (see `set_rtx`)."""
    rtx_payload_types: dict[int, int] = attrs.field(factory=dict)
    """RTX payload type to the payload type it repairs (apt)."""
    history: int = 512
    """Packets kept for retransmission."""


class LegMode(Enum):
    """What a leg does to the payload."""

    PLAIN = "plain"
    """Payload unchanged."""
    VP8 = "vp8"
    """Picture id, TL0PICIDX and KEYIDX rewritten; temporal layers dropped above the ceiling."""
    SVC = "svc"
    """One SSRC with layers (VP9, AV1): packets chosen by dependency descriptor, else by VP9 payload descriptor."""
    RED_TO_OPUS = "red to opus"
    OPUS_TO_RED = "opus to red"


@attrs.frozen(kw_only=True)
class Leg:
    """One subscription as the kernel sees it. Plain data; a change of any field is a new value given to `set_leg`."""

    session: int
    """Target session."""
    ssrc: int
    payload_types: dict[int, int]
    """Source payload type to target payload type; packets of other types are dropped."""
    mode: LegMode
    clock_rate: int
    extensions: ExtensionIds
    """Ids of the target section; what is 0 is not written."""
    rtx_ssrc: int = 0
    rtx_payload_types: dict[int, int] = attrs.field(factory=dict)
    """Target payload type to its RTX payload type; without one a lost packet is sent again as it was."""
    max_spatial: int = 3
    """SVC: highest spatial layer wanted."""
    max_temporal: int = 7
    """Highest temporal layer wanted (VP8, SVC)."""
    paused: bool = False
    """Nothing is forwarded; numbering stays ready for `switch`."""
    mtu: int = 1500
    red_payload_type: int = 0
    """OPUS_TO_RED: target payload type of RED. `payload_types` then gives the Opus type inside it, which is also that of
    packets too large for a RED block. Without one the leg sends plain Opus."""
    playout_delay_ms: tuple[int, int] | None = None
    """Least and greatest playout delay to ask of the receiver, written on each packet while it is set."""
    cuts_trailers: bool = False
    """Whether what clients put behind encoded frames (`rtp.frame_trailer`) is cut off; settled when the leg is added."""


class NoticeKind(Enum):
    UNKNOWN_SSRC = "unknown ssrc"
    """An authenticated packet of an SSRC without a stream; `ssrc`, `data` is the decrypted packet. It is not kept: hand
    it back with `inject_received` once a stream exists."""
    RTCP = "rtcp"
    """`data` is a decrypted compound packet. The kernel has acted on nothing in it."""
    FIRST_PACKET = "first packet"
    """The stream's first packet with payload, at `position`; `data` is empty."""
    KEY_FRAME = "key frame"
    """First packet of a key frame at `position`, in a stream watched by `watch_key_frames`. `width`, `height` if coded."""
    GAP = "gap"
    """`missing` numbers from `position` on have not arrived before a later one."""
    LEG_NEEDS_KEY_FRAME = "leg needs key frame"
    """An SVC leg (`leg`) cannot go on without a key frame of its stream."""
    MARKED_SWITCH = "marked switch"
    """An SVC leg (`leg`) began to forward other layers: `spatial`, `temporal`."""


class Notice(NamedTuple):
    """One thing for policy to look at. Fields that the kind does not name are 0, -1 or empty."""

    kind: NoticeKind
    stream: int = -1
    leg: int = -1
    ssrc: int = 0
    position: int = 0
    missing: int = 0
    data: bytes = b""
    width: int = 0
    height: int = 0
    spatial: int = -1
    temporal: int = -1
    timestamp: int = 0


class StreamStats(NamedTuple):
    """Counters of one stream since it was added. RFC 3550 terms; RTX-recovered packets count as received."""

    packets: int
    bytes: int
    """RTP payload bytes."""
    header_bytes: int
    padding_packets: int
    duplicates: int
    out_of_order: int
    recovered: int
    """Packets that came by RTX."""
    frames: int
    key_frames: int
    first_position: int
    """-1 before the first packet."""
    highest_position: int
    expected: int
    """highest - first + 1; lost = expected - received."""
    received: int
    jitter: float
    """Interarrival jitter in timestamp units (RFC 3550 §6.4.1)."""
    last_timestamp: int
    """Extended."""
    last_arrival: float
    first_arrival: float
    layer_bytes: tuple[int, ...]
    """Payload bytes by layer: index spatial * 4 + temporal, 16 entries."""


class AudioLevel(NamedTuple):
    """What `take_audio_level` gives: since the last call."""

    observed_ms: float
    active_ms: float
    """Time of packets at or above the active level."""
    loudest: int
    """Smallest -dBov among active packets, 127 if none."""


class LegStats(NamedTuple):
    """Counters and position of one leg since it was added."""

    packets: int
    octets: int
    """Payload octets, RTX excluded (RFC 3550 §6.4.1 sender's counts)."""
    retransmitted_packets: int
    retransmitted_octets: int
    dropped_packets: int
    """By temporal, spatial or payload type choice."""
    stream: int
    """Current source, -1 if none."""
    started: bool
    last_sequence_number: int
    """Extended, of the last packet sent."""
    last_timestamp: int
    """Extended, of the last media packet sent."""
    timestamp_offset: int
    """in - out of the current source; meaningful while `stream` is not -1."""
    last_sent: float
    first_timestamp: int
    first_sent: float
    spatial: int
    temporal: int
    """Layers last forwarded (SVC and VP8), -1 before."""


class SentPacket(NamedTuple):
    """A packet that carried a transport-wide sequence number, for bandwidth estimation."""

    sequence_number: int
    """Extended."""
    at: float
    size_bytes: int
    is_retransmission: bool


class Kernel(Protocol):
    """All methods are total: an unknown slot is a LocalProtocolError, remote bytes never raise."""

    # Sessions

    def open_session(self, profile: SrtpProfile, local_key: bytes, remote_key: bytes) -> int:
        """A new session; keys are master key then salt, of the profile's length. Returns its slot."""

    def close_session(self, session: int) -> None:
        """Forget the session with its streams and the legs to and from it."""

    def set_path(self, session: int, local: Address, remote: Address) -> None:
        """Where the session's datagrams go. Before the first call nothing is sent and legs drop."""

    # Receiving

    def add_stream(self, session: int, spec: StreamSpec) -> int:
        """Start to receive an SSRC; returns its slot. Raises LocalProtocolError if the SSRC is taken in this session."""

    def set_rtx(self, stream: int, rtx_ssrc: int) -> None:
        """Learn the RTX SSRC of a stream later than `add_stream`."""

    def remove_stream(self, stream: int) -> None:
        """Stop; its legs stay, without a source."""

    def watch_key_frames(self, stream: int, watch: bool) -> None:
        """Whether KEY_FRAME notices are wanted of this stream."""

    def ingest(
        self, now: float, session: int, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()
    ) -> list[Notice]:
        """Take SRTP and SRTCP datagrams of one session. Never raises for their content. `arrivals` says when each came,
        which is `now` if left out: senders judge the path by the gaps between their packets, so those that waited
        together must not seem to have come together."""

    def inject_received(self, now: float, session: int, packets: Sequence[bytes]) -> list[Notice]:
        """Take decrypted RTP packets as if they had just arrived (kept ones of a stream that was unknown)."""

    def has_packet(self, stream: int, position: int) -> bool:
        """Whether that packet arrived (whether or not it is still kept)."""

    def stream_stats(self, stream: int) -> StreamStats: ...

    def take_audio_level(self, stream: int, active_level: int) -> AudioLevel:
        """Audio levels since the last call (RFC 6464)."""

    def set_transport_cc(self, session: int, extension_id: int) -> None:
        """Note arrivals by the transport-wide numbers under this id, whatever the SSRC, from now on. Senders probe before
        they send media, so this must not wait for the first stream, whose id of the same extension does the same."""

    def take_arrivals(self, session: int) -> list[tuple[int, float]]:
        """(extended transport-wide sequence number, arrival) since the last call, in order of arrival; at most 8192."""

    def last_arrival(self, session: int) -> float | None:
        """When the last authentic packet of the session came."""

    # Forwarding

    def add_leg(self, leg: Leg) -> int:
        """A leg without a source; returns its slot. Numbering starts with `switch` (or `inject`)."""

    def set_leg(self, slot: int, leg: Leg) -> None:
        """Replace the plain data of a leg; numbering goes on. The session may not change."""

    def remove_leg(self, slot: int) -> None: ...

    def switch(self, now: float, leg: int, stream: int, position: int, timestamp: int) -> None:
        """Make `stream` the leg's source, from the packet at `position` on, which leaves with the extended timestamp
        `timestamp` and with the number after the leg's last. Codec numbering (picture ids) goes on without a step. That
        packet and those after it that are already here are sent now. A first switch starts at a random number below
        2^15."""

    def detach(self, leg: int) -> None:
        """Leave the leg without a source; the next `switch` goes on where it ended."""

    def inject(self, now: float, leg: int, payload: bytes, *, timestamp_step: int, marker: bool = False,
               payload_type: int | None = None, padding: int = 0) -> None:  # fmt: skip
        """Send a frame of our own on the leg (silence, blank picture, padding) with the next number and a timestamp
        `timestamp_step` after the last. `payload_type` is a target type; default the leg's first."""

    def retransmit(self, now: float, leg: int, sequence_numbers: Sequence[int], rtt: float) -> int:
        """Answer a NACK: send again those 16-bit numbers that are still known, on RTX where there is one; each at most
        3 times and not within min(0.1, 2 * rtt) s of the last. Returns how many were sent."""

    def leg_stats(self, leg: int) -> LegStats: ...

    def send_rtcp(self, session: int, packet: bytes) -> None:
        """Protect and send a compound or reduced-size RTCP packet."""

    def take_sent(self, session: int) -> list[SentPacket]:
        """Packets that left with a transport-wide number since the last call; at most the last 2048."""

    def poll_transmits(self) -> list[Batch]:
        """Datagrams to send since the last call, in order. Their `local` and `remote` are those of `set_path`."""

    def poll_drops(self) -> dict[DropReason, int]:
        """Packets dropped by reason since the last call."""
