"""What goes into a negotiation and what comes out of it, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .codecs import rtx_payload_types
from .session import Direction, Format, SsrcInfo

DEFAULT_SCTP_PORT = 5000
DEFAULT_MAX_MESSAGE_SIZE_BYTES = 65_536
"""Where a peer says nothing (RFC 8841 §6.1)."""


@attrs.frozen(kw_only=True)
class TransportParameters:
    """The one transport that all our sections share."""

    ufrag: str
    pwd: str = attrs.field(repr=False)
    fingerprint: tuple[str, str]
    """Hash algorithm and value, `("sha-256", "AB:CD:...")`."""
    setup: str = "actpass"
    """`active`, `passive` or `actpass`. In an answer it is a wish: the offer, and a role already taken, go first."""
    candidates: tuple[str, ...] = ()
    """Values that begin with `candidate:`; with any, the description ends with end-of-candidates."""
    ice_lite: bool = False


@attrs.frozen(kw_only=True)
class Outgoing:
    """A track that we send in a section."""

    stream_id: str
    track_id: str
    ssrc: int
    rtx_ssrc: int = 0
    """0 for none; not signalled where no rtx format is agreed."""
    cname: str
    preferred: tuple[str, ...] = ()
    """MIME types to list first."""
    stereo: bool = False


@attrs.frozen(kw_only=True)
class Incoming:
    """What we wish of a section in which the peer sends."""

    preferred: tuple[str, ...] = ()
    """MIME types to list first; browsers send the first codec of an answer."""
    dtx: bool = True
    """Ask for Opus DTX."""
    stereo: bool = False
    red: bool = True
    """Put audio RED before the Opus that it carries, unless `preferred` places it; otherwise RED is not answered."""
    only_preferred: bool = False
    """Answer nothing but the preferred codecs, for clients that do not heed the order."""


@attrs.frozen(kw_only=True)
class RemoteSection:
    """One section as the peer described it, reduced to what is common."""

    index: int
    mid: str
    kind: str
    direction: Direction
    """The peer's: `sendonly` means that it sends to us."""
    rejected: bool
    """Refused or stopped by either side, for good as long as the mid stays."""
    codecs: tuple[Format, ...] = ()
    """In the offerer's numbering and the peer's order, rtx and RED included."""
    extensions: Mapping[str, int] = attrs.field(factory=dict)
    """Common header extensions, URI to id."""
    extmap_allow_mixed: bool = False
    stream_id: str = ""
    track_id: str = ""
    ssrcs: tuple[SsrcInfo, ...] = ()
    ssrc_groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    rids_send: tuple[str, ...] = ()
    """In the peer's order, which is not that of quality."""
    sctp_port: int = DEFAULT_SCTP_PORT
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE_BYTES
    """0 for no limit."""

    @property
    def fid(self) -> dict[int, int]:
        """Media SSRC to the SSRC of its retransmissions (RFC 5576 §4.2, FID)."""
        return {ssrcs[0]: ssrcs[1] for semantics, ssrcs in self.ssrc_groups if semantics == "FID" and len(ssrcs) == 2}

    @property
    def layer_ssrcs(self) -> tuple[int, ...]:
        """Media SSRCs, lowest layer first: those of the SIM group, else all but the retransmissions. Empty with rids,
        since those tell the layers apart."""
        if self.rids_send:
            return ()
        for semantics, ssrcs in self.ssrc_groups:
            if semantics == "SIM":
                return ssrcs
        repairs = set(self.fid.values())
        return tuple(source.ssrc for source in self.ssrcs if source.ssrc not in repairs)


@attrs.frozen(kw_only=True)
class RemoteDescription:
    """A peer's offer or answer."""

    sections: tuple[RemoteSection, ...]
    """All of them, in order."""
    ufrag: str
    """Empty if no section is alive; the other transport fields are so then, too."""
    pwd: str = attrs.field(repr=False)
    ice_lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    candidates: tuple[str, ...]
    end_of_candidates: bool
    ice_restart: bool = False
    """The credentials differ from those of the peer's description before this one (RFC 8839 §4.4.1.1.1)."""


@attrs.frozen(kw_only=True)
class NegotiatedSection:
    """What both sides agreed on for one section."""

    mid: str
    kind: str
    direction: Direction
    """Ours; `inactive` as well for a section without use or refused."""
    rejected: bool = False
    codecs: tuple[Format, ...] = ()
    """In the order of the answer."""
    extensions: Mapping[str, int] = attrs.field(factory=dict)
    allow_mixed: bool = False
    rids: tuple[str, ...] = ()
    """Simulcast layers agreed on, in the order of the descriptions."""

    @property
    def rtx(self) -> dict[int, int]:
        """rtx payload type to the payload type that it repairs."""
        return rtx_payload_types(self.codecs)

    @property
    def has_nack(self) -> bool:
        return any("nack" in codec.feedback for codec in self.codecs)
