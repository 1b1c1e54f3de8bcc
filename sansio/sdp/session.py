"""A session description as frozen values, and their text form.

Holds what RFC 8866, 8839 (ICE), 8842 (DTLS), 8841 (SCTP), 8843 (BUNDLE), 8851 and 8853 (rid, simulcast), 5576 (ssrc),
8830 (msid), 8285 (extmap), 4585 (rtcp-fb) and 5761 (rtcp-mux) say of a WebRTC description. An attribute that has no
field here does not survive parsing; so nothing unknown can be echoed by accident.

Encoding is canonical: `parse(text).encode()` is a fixed point of parsing and encoding again.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from .grammar import parse_parameters


class Direction(StrEnum):
    """RFC 8866 §6.7; compares equal to its text."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> Direction:
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE


@attrs.frozen(kw_only=True)
class Format:
    """A payload type with all that is said of it: rtpmap, fmtp and rtcp-fb."""

    payload_type: int
    name: str
    """Encoding name as in the rtpmap: `VP8`, `opus`, `rtx`; empty where the payload type has none."""
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """The fmtp parameters by lower-case name."""
        return parse_parameters(self.fmtp)

    @property
    def apt(self) -> int | None:
        """The payload type that an rtx format repairs (RFC 4588 §8.1)."""
        apt = self.parameters.get("apt", "")
        is_number = apt.isascii() and apt.isdigit() and len(apt) <= 3
        return int(apt) if self.is_rtx and is_number else None

    @property
    def is_rtx(self) -> bool:
        return self.name.lower() == "rtx"


@attrs.frozen
class ExtMap:
    """One header extension (RFC 8285 §8)."""

    id: int
    uri: str
    direction: str = ""


@attrs.frozen
class SsrcInfo:
    """What the `a=ssrc` lines of one SSRC say (RFC 5576, and the msid attribute as libwebrtc writes it)."""

    ssrc: int
    cname: str = ""
    stream_id: str = ""
    track_id: str = ""


@attrs.frozen
class Rid:
    """One `a=rid` line; restrictions are left out."""

    id: str
    direction: str
    """`send` or `recv`, as seen from who wrote the description."""


@attrs.frozen(kw_only=True)
class MediaSection:
    """One m-section."""

    kind: str
    """`audio`, `video`, `application`; others may occur and are refused by negotiation."""
    port: int = 9
    protocol: str = "UDP/TLS/RTP/SAVPF"
    formats: tuple[str, ...] = ()
    """The format list of a section that is not RTP."""
    mid: str = ""
    direction: Direction = Direction.SENDRECV
    bundle_only: bool = False
    ice_ufrag: str = ""
    ice_pwd: str = ""
    ice_options: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    """Values that begin with `candidate:`."""
    end_of_candidates: bool = False
    fingerprints: tuple[tuple[str, str], ...] = ()
    """(hash algorithm in lower case, value in upper case)"""
    setup: str = ""
    rtcp_mux: bool = False
    rtcp_rsize: bool = False
    extmap_allow_mixed: bool = False
    codecs: tuple[Format, ...] = ()
    """In the order of the m-line, which is the order of preference."""
    extensions: tuple[ExtMap, ...] = ()
    msid: tuple[str, str] | None = None
    """Stream id and track id."""
    ssrcs: tuple[SsrcInfo, ...] = ()
    ssrc_groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    rids: tuple[Rid, ...] = ()
    simulcast_send: tuple[str, ...] = ()
    simulcast_recv: tuple[str, ...] = ()
    sctp_port: int | None = None
    max_message_size: int | None = None

    @property
    def is_rtp(self) -> bool:
        return is_rtp_protocol(self.protocol)

    @property
    def is_rejected(self) -> bool:
        """Port 0 means refused or stopped, unless the section waits to be bundled (RFC 8843 §6)."""
        return self.port == 0 and not self.bundle_only

    def encode(self) -> list[str]:
        """The lines of this section, without line ends."""
        formats = [str(codec.payload_type) for codec in self.codecs] if self.is_rtp else list(self.formats)
        lines = [f"m={self.kind} {self.port} {self.protocol} {' '.join(formats or ['0'])}", "c=IN IP4 0.0.0.0"]
        lines += _encode_transport(self)
        lines += _flags(self)
        if self.is_rtp:
            lines += _encode_rtp(self)
        if self.sctp_port is not None:
            lines.append(f"a=sctp-port:{self.sctp_port}")
        if self.max_message_size is not None:
            lines.append(f"a=max-message-size:{self.max_message_size}")
        lines += [f"a={candidate}" for candidate in self.candidates]
        if self.end_of_candidates:
            lines.append("a=end-of-candidates")
        return lines


@attrs.frozen(kw_only=True)
class Description:
    """A whole session description. Session-level transport attributes apply to sections that have none of their own."""

    session_id: int
    session_version: int
    username: str = "-"
    network: str = "IN IP4 0.0.0.0"
    """The last three fields of the origin."""
    name: str = "-"
    bundle: tuple[str, ...] = ()
    """Mids of the BUNDLE group; further groups are left out."""
    ice_lite: bool = False
    ice_ufrag: str = ""
    ice_pwd: str = ""
    ice_options: tuple[str, ...] = ()
    fingerprints: tuple[tuple[str, str], ...] = ()
    setup: str = ""
    extmap_allow_mixed: bool = False
    msid_semantic: str = ""
    media: tuple[MediaSection, ...] = ()

    def encode(self) -> str:
        lines = [
            "v=0",
            f"o={self.username} {self.session_id} {self.session_version} {self.network}",
            f"s={self.name}",
            "t=0 0",
        ]
        if self.bundle:
            lines.append(f"a=group:BUNDLE {' '.join(self.bundle)}")
        if self.ice_lite:
            lines.append("a=ice-lite")
        lines += _encode_transport(self)
        if self.extmap_allow_mixed:
            lines.append("a=extmap-allow-mixed")
        if self.msid_semantic:
            lines.append(f"a=msid-semantic:{self.msid_semantic}")
        for section in self.media:
            lines += section.encode()
        return "\r\n".join(lines) + "\r\n"


def is_rtp_protocol(protocol: str) -> bool:
    return "RTP/" in protocol.upper()


def _encode_transport(level: MediaSection | Description) -> list[str]:
    lines = []
    if level.ice_ufrag:
        lines.append(f"a=ice-ufrag:{level.ice_ufrag}")
    if level.ice_pwd:
        lines.append(f"a=ice-pwd:{level.ice_pwd}")
    if level.ice_options:
        lines.append(f"a=ice-options:{' '.join(level.ice_options)}")
    lines += [f"a=fingerprint:{algorithm} {value}" for algorithm, value in level.fingerprints]
    if level.setup:
        lines.append(f"a=setup:{level.setup}")
    return lines


def _flags(section: MediaSection) -> list[str]:
    lines = [f"a=mid:{section.mid}"] if section.mid else []
    if section.bundle_only:
        lines.append("a=bundle-only")
    if section.rtcp_mux:
        lines.append("a=rtcp-mux")
    if section.rtcp_rsize:
        lines.append("a=rtcp-rsize")
    if section.extmap_allow_mixed:
        lines.append("a=extmap-allow-mixed")
    return lines


def _encode_rtp(section: MediaSection) -> list[str]:
    lines = []
    for codec in section.codecs:
        lines += _encode_format(codec)
    for extension in section.extensions:
        direction = f"/{extension.direction}" if extension.direction else ""
        lines.append(f"a=extmap:{extension.id}{direction} {extension.uri}")
    lines += [f"a=rid:{rid.id} {rid.direction}" for rid in section.rids]
    lines += _encode_simulcast(section)
    lines += [f"a=ssrc-group:{semantics} {' '.join(map(str, ssrcs))}" for semantics, ssrcs in section.ssrc_groups]
    for source in section.ssrcs:
        lines += _encode_source(source)
    if section.msid is not None:
        lines.append(f"a=msid:{section.msid[0] or '-'} {section.msid[1]}".rstrip())
    lines.append(f"a={section.direction}")
    return lines


def _encode_format(codec: Format) -> list[str]:
    lines = []
    if codec.name:
        channels = f"/{codec.channels}" if codec.channels != 1 else ""
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}")
    if codec.fmtp:
        lines.append(f"a=fmtp:{codec.payload_type} {codec.fmtp}")
    lines += [f"a=rtcp-fb:{codec.payload_type} {feedback}" for feedback in codec.feedback]
    return lines


def _encode_simulcast(section: MediaSection) -> list[str]:
    parts = []
    if section.simulcast_send:
        parts.append(f"send {';'.join(section.simulcast_send)}")
    if section.simulcast_recv:
        parts.append(f"recv {';'.join(section.simulcast_recv)}")
    return [f"a=simulcast:{' '.join(parts)}"] if parts else []


def _encode_source(source: SsrcInfo) -> list[str]:
    lines = [f"a=ssrc:{source.ssrc} cname:{source.cname}"]
    if source.stream_id:
        lines.append(f"a=ssrc:{source.ssrc} msid:{' '.join(filter(None, (source.stream_id, source.track_id)))}")
    return lines
