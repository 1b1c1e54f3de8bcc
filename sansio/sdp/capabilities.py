"""What one side can send and receive, as data: formats with our payload types, feedback, header extensions.

`server_capabilities` holds the tables of LiveKit's server (codecs and payload types of livekit/protocol `codecs`, header
extensions and feedback of livekit/livekit `pkg/rtc/config.go`); `client_capabilities` is modelled on what Chromium offers
and has other numbers on purpose, so that a pair of both shows who confuses them.

No payload type of either is in 64 to 95 (RFC 5761 §4). One table gives the ids of header extensions, since an id means
the same in all sections of a bundle (RFC 8843 §9).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from .session import Format

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

VIDEO_FEEDBACK = ("ccm fir", "nack", "nack pli")
MAX_MESSAGE_SIZE_BYTES = 65_535
"""What LiveKit's server advertises; clients cap their messages by it."""

DEFAULT_MIMES = (
    "audio/PCMU", "audio/PCMA", "audio/opus", "audio/red",
    "video/VP8", "video/H264", "video/VP9", "video/AV1", "video/H265", "video/rtx",
)  # fmt: skip


@attrs.frozen
class KindCapabilities:
    """One kind of media in one direction."""

    codecs: tuple[Format, ...]
    """In order of preference, each rtx after what it repairs; numbers count when we offer."""
    extensions: tuple[str, ...]
    """URIs."""


@attrs.frozen(kw_only=True)
class Capabilities:
    send: Mapping[str, KindCapabilities]
    """By kind, `audio` and `video`."""
    receive: Mapping[str, KindCapabilities]
    extension_ids: Mapping[str, int]
    """URI to the id that we offer."""
    max_message_size: int = MAX_MESSAGE_SIZE_BYTES
    single: Capabilities | None = None
    """What takes the place of these values on a peer connection that carries both directions."""


def server_capabilities(
    enabled_mimes: Sequence[str] = DEFAULT_MIMES,
    *,
    use_send_side_bwe: bool = False,
    use_playout_delay: bool = False,
    h264_profiles: Sequence[str] = ("42e01f",),
) -> Capabilities:
    """The server's side. With `use_send_side_bwe` subscribers are offered transport-cc in place of REMB. Further H264
    profiles known by number are 42001f and 4d001f."""
    codecs = _Enabled(enabled_mimes, h264_profiles)
    bandwidth = ("transport-cc", TRANSPORT_CC) if use_send_side_bwe else ("goog-remb", ABS_SEND_TIME)
    playout_delay = (PLAYOUT_DELAY,) if use_playout_delay else ()
    publish_video = (MID, RID, REPAIRED_RID, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR, ABS_CAPTURE_TIME)
    receive_audio = KindCapabilities(codecs.audio(("nack",)), (MID, AUDIO_LEVEL, ABS_CAPTURE_TIME, RID))
    both_feedback = ("goog-remb", "transport-cc", *VIDEO_FEEDBACK)
    subscribe_video = (DEPENDENCY_DESCRIPTOR, ABS_CAPTURE_TIME, bandwidth[1], *playout_delay)
    # rid is of no use to who sends one layer; but Chromium offers for a section that it adds later only what was agreed
    # on for those before, and refuses its own offer of simulcast without rid.
    single_video = (*publish_video, ABS_SEND_TIME, *playout_delay)
    ids = _numbered((*subscribe_video, *publish_video, AUDIO_LEVEL, ABS_SEND_TIME))
    single = Capabilities(
        receive={
            "audio": receive_audio,
            "video": KindCapabilities(codecs.video(both_feedback), (*publish_video, ABS_SEND_TIME)),
        },
        send={
            "audio": KindCapabilities(codecs.audio(("nack",)), (MID, AUDIO_LEVEL, ABS_CAPTURE_TIME)),
            "video": KindCapabilities(codecs.video(both_feedback), single_video),
        },
        extension_ids=ids,
    )
    return Capabilities(
        receive={
            "audio": receive_audio,
            "video": KindCapabilities(codecs.video(("transport-cc", *VIDEO_FEEDBACK)), publish_video),
        },
        send={
            "audio": KindCapabilities(codecs.audio(("nack",)), (ABS_CAPTURE_TIME,)),
            "video": KindCapabilities(codecs.video((*VIDEO_FEEDBACK, bandwidth[0])), subscribe_video),
        },
        extension_ids=ids,
        single=single,
    )


def client_capabilities() -> Capabilities:
    """A client's side, with Chromium's payload types and extension ids."""
    feedback = ("goog-remb", "transport-cc", *VIDEO_FEEDBACK)
    audio = (
        _opus(111, ("transport-cc", "nack")), _red(63, 111), _format(0, "PCMU", 8000), _format(8, "PCMA", 8000),
    )  # fmt: skip
    h264 = "level-asymmetry-allowed=1;packetization-mode={};profile-level-id=42e01f"
    video = (
        *_repaired(96, 97, "VP8", "", feedback),
        *_repaired(108, 109, "H264", h264.format(1), feedback),
        *_repaired(114, 115, "H264", h264.format(0), feedback),
        *_repaired(45, 46, "AV1", "level-idx=5;profile=0;tier=0", feedback),
        *_repaired(98, 99, "VP9", "profile-id=0", feedback),
        *_repaired(49, 50, "H265", "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST", feedback),
    )
    ids = {
        AUDIO_LEVEL: 1, ABS_SEND_TIME: 2, TRANSPORT_CC: 3, MID: 4, PLAYOUT_DELAY: 5,
        RID: 10, REPAIRED_RID: 11, DEPENDENCY_DESCRIPTOR: 12, ABS_CAPTURE_TIME: 13,
    }  # fmt: skip
    audio_kind = KindCapabilities(audio, (AUDIO_LEVEL, ABS_SEND_TIME, TRANSPORT_CC, MID, ABS_CAPTURE_TIME))
    video_kind = KindCapabilities(video, tuple(uri for uri in ids if uri != AUDIO_LEVEL))
    kinds = {"audio": audio_kind, "video": video_kind}
    return Capabilities(send=kinds, receive=kinds, extension_ids=ids, max_message_size=262_144)


class _Enabled:
    """The server's formats, less those that are not enabled."""

    def __init__(self, mimes: Sequence[str], h264_profiles: Sequence[str]) -> None:
        self.mimes = {mime.lower() for mime in mimes}
        self.h264_profiles = {profile.lower() for profile in h264_profiles}

    def audio(self, feedback: tuple[str, ...]) -> tuple[Format, ...]:
        formats = (_opus(111, feedback), _red(63, 111), _format(0, "PCMU", 8000), _format(8, "PCMA", 8000))
        return tuple(codec for codec in formats if f"audio/{codec.name.lower()}" in self.mimes)

    def video(self, feedback: tuple[str, ...]) -> tuple[Format, ...]:
        table = [
            (96, "VP8", ""),
            (98, "VP9", "profile-id=0"),
            (100, "VP9", "profile-id=1"),
            *[(number, "H264", fmtp) for number, profile, fmtp in _h264_table() if profile in self.h264_profiles],
            (35, "AV1", ""),
            (116, "H265", ""),
        ]
        formats: list[Format] = []
        for number, name, fmtp in table:
            if f"video/{name.lower()}" in self.mimes:
                pair = _repaired(number, number + 1, name, fmtp, feedback)
                formats += pair if "video/rtx" in self.mimes else pair[:1]
        return tuple(formats)


def _h264_table() -> list[tuple[int, str, str]]:
    """(payload type, profile, fmtp)"""
    numbers = {"42e01f": (125, 108), "42001f": (104, 102), "4d001f": (39, 106)}
    return [
        (number, profile, f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}")
        for profile, modes in numbers.items()
        for mode, number in enumerate(modes)
    ]


def _format(number: int, name: str, clock_rate: int, fmtp: str = "", feedback: tuple[str, ...] = ()) -> Format:
    return Format(payload_type=number, name=name, clock_rate=clock_rate, fmtp=fmtp, feedback=feedback)


def _opus(number: int, feedback: tuple[str, ...]) -> Format:
    return attrs.evolve(_format(number, "opus", 48000, "minptime=10;useinbandfec=1", feedback), channels=2)


def _red(number: int, opus: int) -> Format:
    return attrs.evolve(_format(number, "red", 48000, f"{opus}/{opus}"), channels=2)


def _repaired(number: int, rtx: int, name: str, fmtp: str, feedback: tuple[str, ...]) -> tuple[Format, Format]:
    return _format(number, name, 90000, fmtp, feedback), _format(rtx, "rtx", 90000, f"apt={number}")


def _numbered(uris: Sequence[str]) -> dict[str, int]:
    return {uri: number for number, uri in enumerate(dict.fromkeys(uris), 1)}
