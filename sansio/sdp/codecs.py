"""Which of the formats that a peer offers are ours too, and in what order they are answered.

An answer keeps the offerer's payload types (RFC 3264 §6.1); a format is kept when one of ours has the same name, clock
rate and channels and compatible parameters: H264 on packetization mode and profile (RFC 6184 §8.2.2), VP9, AV1 and H265 on
their profile. rtx is kept where what it repairs is kept, RED where the Opus inside is. Payload types 64 to 95 are never
kept: under rtcp-mux they look like RTCP (RFC 5761 §4).

An fmtp line is answered with the parameters known here, in the offered order, and nothing else. Of those without meaning to
us, bitrate hints go back as they came: libwebrtc starts its estimate from what the *answer* says, so a client that asks for
a higher start than 300 kbit/s needs its wish returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from .grammar import encode_parameters
from .session import Format

RTCP_CONFLICT = range(64, 96)

PROFILE_PARAMETERS = {"vp9": ("profile-id", "0"), "av1": ("profile", "0"), "h265": ("profile-id", "1")}
"""Parameter that two formats of the codec must share, and its value where absent."""

ANSWERED_PARAMETERS = {
    "h264": ("level-asymmetry-allowed", "packetization-mode", "profile-level-id"),
    "vp9": ("profile-id",),
    "av1": ("profile", "level-idx", "tier"),
    "h265": ("profile-id", "level-id", "tier-flag", "tx-mode"),
}

BITRATE_HINTS = ("x-google-start-bitrate", "x-google-min-bitrate", "x-google-max-bitrate")
"""In kbit/s, of any video codec but its companions."""

CONSTRAINED_BASELINE = "constrained baseline"
# profile_idc, mask and value of the constraint bits (RFC 6184 §8.1, table 5), as far as WebRTC meets them.
_H264_PROFILES = (
    (0x42, 0x4F, 0x40, CONSTRAINED_BASELINE),
    (0x4D, 0x8F, 0x80, CONSTRAINED_BASELINE),
    (0x58, 0xCF, 0xC0, CONSTRAINED_BASELINE),
    (0x42, 0x4F, 0x00, "baseline"),
    (0x58, 0xCF, 0x80, "baseline"),
    (0x4D, 0xAF, 0x00, "main"),
    (0x64, 0xFF, 0x00, "high"),
    (0x64, 0xFF, 0x0C, "constrained high"),
)


def mime_type(kind: str, codec: Format) -> str:
    """`video/VP8`, spelled as the format spells it; compare without case."""
    return f"{kind}/{codec.name}"


def common_formats(offered: Sequence[Format], ours: Sequence[Format]) -> tuple[Format, ...]:
    """Those of `offered` that match one of `ours`, in the offered order and numbering, with what is agreed of their
    feedback and parameters."""
    matched: dict[int, Format] = {}
    for codec in offered:
        own = None if codec.payload_type in RTCP_CONFLICT else _counterpart(codec, ours)
        if own is not None:
            matched[codec.payload_type] = _agree(codec, own)
    kept = {number: codec for number, codec in matched.items() if _is_whole(codec, matched)}
    return tuple(kept.values())


def ordered_formats(
    kind: str, formats: Sequence[Format], preferred: Sequence[str], *, only_preferred: bool = False
) -> tuple[Format, ...]:
    """`formats` with the preferred MIME types first, each followed by its rtx. With `only_preferred` the others go,
    unless none would be left."""
    ranks = {mime.lower(): rank for rank, mime in reversed(list(enumerate(preferred)))}
    primaries = [codec for codec in formats if not codec.is_rtx]
    wanted = [codec for codec in primaries if mime_type(kind, codec).lower() in ranks]
    wanted.sort(key=lambda codec: ranks[mime_type(kind, codec).lower()])
    if only_preferred and wanted:
        inside = {number for codec in wanted for number in red_payload_types(codec)}
        others = [codec for codec in primaries if codec not in wanted and codec.payload_type in inside]
    else:
        others = [codec for codec in primaries if codec not in wanted]
    return _with_rtx([*wanted, *others], formats)


def without_codec(formats: Iterable[Format], name: str) -> tuple[Format, ...]:
    return tuple(codec for codec in formats if codec.name.lower() != name)


def red_payload_types(codec: Format) -> tuple[int, ...]:
    """Payload types of the blocks that an audio RED format carries (RFC 2198 §5: `111/111`)."""
    if codec.name.lower() != "red":
        return ()
    words = codec.fmtp.split("/")
    return tuple(int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 3)


def rtx_payload_types(formats: Iterable[Format]) -> dict[int, int]:
    """Payload type of each rtx format to the payload type that it repairs."""
    return {codec.payload_type: codec.apt for codec in formats if codec.apt is not None}


def h264_profile(profile_level_id: str) -> str:
    """The profile of a `profile-level-id`; levels do not matter here. An absent one counts as constrained baseline, as
    libwebrtc reads it; an unknown one stands for itself."""
    if not profile_level_id:
        return CONSTRAINED_BASELINE
    try:
        value = int(profile_level_id[:4], 16)
    except ValueError:
        return profile_level_id.lower()
    for idc, mask, bits, name in _H264_PROFILES:
        if value >> 8 == idc and value & mask == bits:
            return name
    return profile_level_id[:4].lower()


def _counterpart(codec: Format, ours: Sequence[Format]) -> Format | None:
    return next((own for own in ours if _matches(codec, own)), None)


def _matches(codec: Format, own: Format) -> bool:
    name = own.name.lower()
    if codec.name.lower() != name or codec.clock_rate != own.clock_rate or codec.channels != own.channels:
        return False
    theirs, mine = codec.parameters, own.parameters
    if name == "h264":
        return _h264_key(theirs) == _h264_key(mine)
    if name in PROFILE_PARAMETERS:
        parameter, default = PROFILE_PARAMETERS[name]
        return theirs.get(parameter, default) == mine.get(parameter, default)
    return True


def _h264_key(parameters: dict[str, str]) -> tuple[str, str]:
    return parameters.get("packetization-mode", "0"), h264_profile(parameters.get("profile-level-id", ""))


def _agree(codec: Format, own: Format) -> Format:
    feedback = tuple(one for one in own.feedback if one in codec.feedback)
    return attrs.evolve(codec, name=own.name, feedback=feedback, fmtp=_answered_fmtp(codec, own))


def _answered_fmtp(codec: Format, own: Format) -> str:
    name = own.name.lower()
    if name in ("rtx", "red"):
        return codec.fmtp
    hints = {key: value for key, value in codec.parameters.items() if key in BITRATE_HINTS and _is_number(value)}
    if name not in ANSWERED_PARAMETERS:
        return ";".join(filter(None, (own.fmtp, encode_parameters(hints))))
    kept = {key: value for key, value in codec.parameters.items() if key in ANSWERED_PARAMETERS[name]}
    return encode_parameters(kept | hints)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 9


def _is_whole(codec: Format, matched: dict[int, Format]) -> bool:
    """Whether what the format refers to was matched as well."""
    if codec.is_rtx:
        repaired = matched.get(-1 if codec.apt is None else codec.apt)
        return repaired is not None and not repaired.is_rtx
    if codec.name.lower() == "red":
        inside = red_payload_types(codec)
        return bool(inside) and all(number in matched and matched[number].name == "opus" for number in inside)
    return True


def _with_rtx(primaries: Sequence[Format], formats: Sequence[Format]) -> tuple[Format, ...]:
    repairs = {codec.apt: codec for codec in formats if codec.is_rtx}
    ordered = []
    for codec in primaries:
        ordered.append(codec)
        if codec.payload_type in repairs:
            ordered.append(repairs[codec.payload_type])
    return tuple(ordered)
