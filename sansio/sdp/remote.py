"""Reading a peer's description: which sections can live, what transport they share, what of each is common.

All media run over one transport (RFC 8843 BUNDLE, RFC 5761 rtcp-mux): a section outside the BUNDLE group is refused,
except for a single one without any group.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from .codecs import common_formats
from .grammar import SdpError
from .session import Description, Format, MediaSection
from .values import DEFAULT_MAX_MESSAGE_SIZE_BYTES, DEFAULT_SCTP_PORT, RemoteDescription, RemoteSection

MEDIA_KINDS = ("audio", "video")
RTP_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF")
"""RFC 8829 §5.1.2 wants all of them accepted."""
DATA_PROTOCOLS = ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP")
DATA_FORMAT = "webrtc-datachannel"

# What one peer can make its receiver hold for one section. Three layers with retransmission and FEC take 9 SSRCs and 7
# groups; anything beyond these bounds is passed over.
MAX_SSRCS_PER_SECTION = 32
MAX_GROUPS_PER_SECTION = 32
MAX_RIDS_PER_SECTION = 8
MAX_FINGERPRINTS = 8

MAX_EXTENSION_ID = 255
MAX_ONE_BYTE_EXTENSION_ID = 14


def check_mids(description: Description) -> None:
    """Each live section has a mid of its own (RFC 8843 §7)."""
    seen = set()
    for section in description.media:
        if not section.mid and not section.is_rejected:
            raise SdpError("section without mid")
        if section.mid and section.mid in seen:
            raise SdpError(f"mid {section.mid[:40]!r} used twice")
        seen.add(section.mid)


def live_sections(description: Description) -> list[bool]:
    """For each section, whether it is one that we can take part in at all."""
    bundled = frozenset(description.bundle)
    is_lone = len(description.media) == 1 and not bundled
    return [
        not section.is_rejected and (is_lone or section.mid in bundled) and _is_known(section)
        for section in description.media
    ]


def remote_section(
    index: int,
    description: Description,
    section: MediaSection,
    *,
    codecs: tuple[Format, ...],
    uris: Sequence[str],
    rejected: bool,
) -> RemoteSection:
    allow_mixed = description.extmap_allow_mixed or section.extmap_allow_mixed
    stream_id, track_id = _msid(section)
    return RemoteSection(
        index=index,
        mid=section.mid,
        kind=section.kind,
        direction=section.direction,
        rejected=rejected,
        codecs=codecs,
        extensions=common_extensions(section, uris, allow_mixed=allow_mixed),
        extmap_allow_mixed=allow_mixed,
        stream_id=stream_id,
        track_id=track_id,
        ssrcs=section.ssrcs[:MAX_SSRCS_PER_SECTION],
        ssrc_groups=_groups(section),
        rids_send=rids(section, "send"),
        sctp_port=DEFAULT_SCTP_PORT if section.sctp_port is None else section.sctp_port,
        max_message_size=(
            DEFAULT_MAX_MESSAGE_SIZE_BYTES if section.max_message_size is None else section.max_message_size
        ),
    )


def common_extensions(section: MediaSection, uris: Sequence[str], *, allow_mixed: bool) -> dict[str, int]:
    """Header extensions of the section that are in `uris`. Id 15 is reserved in the one-byte form, and what lies above
    needs the two-byte form (RFC 8285 §4)."""
    highest = MAX_EXTENSION_ID if allow_mixed else MAX_ONE_BYTE_EXTENSION_ID
    common: dict[str, int] = {}
    for extension in section.extensions:
        is_usable = 0 < extension.id <= highest and extension.id != 15 and extension.direction != "inactive"
        if extension.uri in uris and is_usable:
            common.setdefault(extension.uri, extension.id)
    return common


def rids(section: MediaSection, direction: str) -> tuple[str, ...]:
    """The restriction identifiers of that direction, in the order of the simulcast line if there is one; only those with
    a line of their own count (RFC 8853 §5.2)."""
    declared = tuple(rid.id for rid in section.rids if rid.direction == direction)
    simulcast = section.simulcast_send if direction == "send" else section.simulcast_recv
    known = frozenset(declared)
    ordered = tuple(rid for rid in simulcast if rid in known) or declared
    return ordered[:MAX_RIDS_PER_SECTION]


def answered_formats(answered: Sequence[Format], offered: Sequence[Format]) -> tuple[Format, ...]:
    """The formats of an answer that were in the offer under the same number, with the fmtp line of the answer."""
    by_number = {codec.payload_type: codec for codec in offered}
    fmtp = {codec.payload_type: codec.fmtp for codec in answered}
    same = [codec for codec in answered if _is_same(codec, by_number.get(codec.payload_type))]
    common = common_formats(same, offered)
    return tuple(attrs.evolve(codec, fmtp=fmtp[codec.payload_type]) for codec in common)


def remote_description(
    description: Description,
    sections: Sequence[RemoteSection],
    previous: RemoteDescription | None,
) -> RemoteDescription:
    """The transport comes from the section tagged by BUNDLE, or else from the session level (RFC 8843 §7.3)."""
    live = [description.media[section.index] for section in sections if not section.rejected]
    if not live:
        return RemoteDescription(
            sections=tuple(sections),
            ufrag="",
            pwd="",
            ice_lite=description.ice_lite,
            fingerprints=(),
            setup="",
            candidates=(),
            end_of_candidates=False,
        )
    tagged = next((section for section in live if section.mid in description.bundle[:1]), live[0])
    ufrag = tagged.ice_ufrag or description.ice_ufrag
    pwd = tagged.ice_pwd or description.ice_pwd
    fingerprints = tagged.fingerprints or description.fingerprints
    if not (ufrag and pwd and fingerprints):
        raise SdpError("no ICE credentials or no fingerprint")
    is_known = previous is not None and previous.ufrag != ""
    return RemoteDescription(
        sections=tuple(sections),
        ufrag=ufrag,
        pwd=pwd,
        ice_lite=description.ice_lite,
        fingerprints=fingerprints[:MAX_FINGERPRINTS],
        setup=tagged.setup or description.setup,
        candidates=tuple(dict.fromkeys(candidate for section in live for candidate in section.candidates)),
        end_of_candidates=any(section.end_of_candidates for section in live),
        ice_restart=is_known and previous is not None and (previous.ufrag, previous.pwd) != (ufrag, pwd),
    )


def _is_known(section: MediaSection) -> bool:
    if section.kind in MEDIA_KINDS:
        return section.protocol.upper() in RTP_PROTOCOLS
    is_data = section.kind == "application" and section.protocol.upper() in DATA_PROTOCOLS
    return is_data and DATA_FORMAT in section.formats


def _is_same(codec: Format, own: Format | None) -> bool:
    return own is not None and codec.name.lower() == own.name.lower()


def _groups(section: MediaSection) -> tuple[tuple[str, tuple[int, ...]], ...]:
    groups = section.ssrc_groups[:MAX_GROUPS_PER_SECTION]
    return tuple((semantics, ssrcs[:MAX_SSRCS_PER_SECTION]) for semantics, ssrcs in groups)


def _msid(section: MediaSection) -> tuple[str, str]:
    """Stream and track id; in old descriptions they stand on the SSRC lines alone."""
    stream_id, track_id = section.msid or ("", "")
    if section.msid is None and section.ssrcs:
        stream_id, track_id = section.ssrcs[0].stream_id, section.ssrcs[0].track_id
    return ("" if stream_id == "-" else stream_id), track_id
