"""Writing our descriptions: the parts that an offer and an answer have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from .session import Description, Direction, ExtMap, Format, MediaSection, SsrcInfo
from .values import Outgoing, TransportParameters

DISCARD_PORT = 9
"""RFC 8840 §4.1.1: the port while candidates trickle; we never write another."""
SCTP_PORT = 5000


def describe(
    transport: TransportParameters, setup: str, sections: Sequence[MediaSection], *,
    session_id: int, session_version: int, bundle: Sequence[str], extmap_allow_mixed: bool,
) -> str:  # fmt: skip
    """The text of a description whose live sections are those in `bundle`."""
    tagged = bundle[0] if bundle else None
    media = []
    for section in sections:
        if section.mid and section.port:
            section = _with_transport(section, transport, setup, is_tagged=section.mid == tagged)
        media.append(section)
    return Description(
        session_id=session_id,
        session_version=session_version,
        bundle=tuple(bundle),
        ice_lite=transport.ice_lite,
        fingerprints=(transport.fingerprint,),
        extmap_allow_mixed=extmap_allow_mixed,
        msid_semantic="WMS *",
        media=tuple(media),
    ).encode()


def rejected_media(
    kind: str, protocol: str, mid: str, *, formats: Sequence[str] = (), payload_type: int = 0
) -> MediaSection:
    """A section with port 0. It must list some format (RFC 3264 §6)."""
    bare = Format(payload_type=payload_type, name="", clock_rate=0)
    return MediaSection(
        kind=kind,
        port=0,
        protocol=protocol,
        mid=mid,
        formats=tuple(formats),
        codecs=(bare,),
        direction=Direction.INACTIVE,
    )


def application_media(mid: str, protocol: str, max_message_size: int) -> MediaSection:
    return MediaSection(
        kind="application",
        port=DISCARD_PORT,
        protocol=protocol,
        formats=("webrtc-datachannel",),
        mid=mid,
        sctp_port=SCTP_PORT,
        max_message_size=max_message_size,
    )


def rtp_media(
    kind: str, protocol: str, mid: str, *,
    direction: Direction, codecs: Sequence[Format], extensions: Sequence[ExtMap],
) -> MediaSection:  # fmt: skip
    return MediaSection(
        kind=kind,
        port=DISCARD_PORT,
        protocol=protocol,
        mid=mid,
        direction=direction,
        rtcp_mux=True,
        rtcp_rsize=True,
        codecs=tuple(codecs),
        extensions=tuple(extensions),
    )


def with_track(section: MediaSection, outgoing: Outgoing, *, with_ssrcs: bool = True) -> MediaSection:
    """The section with the lines of the track that we send in it: msid, and per SSRC its cname and msid."""
    msid = (outgoing.stream_id, outgoing.track_id)
    if not with_ssrcs:
        return attrs.evolve(section, msid=msid)
    has_rtx = outgoing.rtx_ssrc != 0 and any(codec.is_rtx for codec in section.codecs)
    ssrcs = (outgoing.ssrc, outgoing.rtx_ssrc) if has_rtx else (outgoing.ssrc,)
    return attrs.evolve(
        section,
        msid=msid,
        ssrcs=tuple(SsrcInfo(ssrc, outgoing.cname, *msid) for ssrc in ssrcs),
        ssrc_groups=(("FID", ssrcs),) if has_rtx else (),
    )


def with_opus_parameters(codecs: Iterable[Format], *parameters: str) -> tuple[Format, ...]:
    """The formats, with parameters appended to the fmtp line of Opus (RFC 7587 §6.1)."""
    extra = tuple(filter(None, parameters))
    if not extra:
        return tuple(codecs)
    return tuple(
        attrs.evolve(codec, fmtp=";".join(filter(None, (codec.fmtp, *extra)))) if codec.name == "opus" else codec
        for codec in codecs
    )


def _with_transport(
    section: MediaSection, transport: TransportParameters, setup: str, *, is_tagged: bool
) -> MediaSection:
    """Every section names the transport; candidates stand in the tagged one alone (RFC 8843 §7.1.3)."""
    return attrs.evolve(
        section,
        ice_ufrag=transport.ufrag,
        ice_pwd=transport.pwd,
        ice_options=("trickle",),
        setup=setup,
        candidates=transport.candidates if is_tagged else (),
        end_of_candidates=is_tagged and bool(transport.candidates),
    )
