"""Building blocks of the tests of descriptions."""

from __future__ import annotations

import re

from sdp_vectors import AUDIO_RECEIVE_SECTION, RUST_APPLICATION_SECTION, SINGLE_SESSION, VIDEO_RECEIVE_SECTION

from sansio.sdp import Description, MediaSection, Outgoing, TransportParameters, parse

FINGERPRINT = ("sha-256", ":".join(["AB"] * 32))
CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host"


def transport(setup: str = "actpass", *, ufrag: str = "abcd", ice_lite: bool = False) -> TransportParameters:
    return TransportParameters(
        ufrag=ufrag,
        pwd="p" * 24,
        fingerprint=FINGERPRINT,
        setup=setup,
        candidates=(CANDIDATE,),
        ice_lite=ice_lite,
    )


def track(name: str, ssrc: int, *, rtx_ssrc: int = 0, stereo: bool = False) -> Outgoing:
    return Outgoing(
        stream_id=f"PA_x|TR_{name}",
        track_id=f"TR_{name}",
        ssrc=ssrc,
        rtx_ssrc=rtx_ssrc,
        cname="PA_x",
        stereo=stereo,
    )


def single_offer(audios: int = 3, videos: int = 3, *, application: str = RUST_APPLICATION_SECTION) -> str:
    """What a client offers first on a single connection: sections to receive in, then data channels."""
    sections = [AUDIO_RECEIVE_SECTION] * audios + [VIDEO_RECEIVE_SECTION] * videos
    sections += [application] if application else []
    return SINGLE_SESSION + renumber("".join(sections))


def renumber(sections: str) -> str:
    """Give the sections the mids 0, 1, 2, ..."""
    numbers = iter(range(1000))
    return re.sub(r"a=mid:\S+", lambda _: f"a=mid:{next(numbers)}", sections)


def section_of(text: str, mid: str) -> MediaSection:
    return next(section for section in parse(text).media if section.mid == mid)


def lines_of(text: str, mid: str) -> list[str]:
    """The raw lines of the section with that mid."""
    blocks = re.split(r"\r?\n(?=m=)", text)
    return next(block.splitlines() for block in blocks if f"a=mid:{mid}" in block.splitlines())


def payload_types(section: MediaSection) -> list[int]:
    return [codec.payload_type for codec in section.codecs]


def minimal(*lines: str, session: tuple[str, ...] = ()) -> Description:
    return parse("\n".join(("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", *session, *lines)))
