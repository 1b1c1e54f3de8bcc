"""Legs that cut off what clients put behind encoded frames."""

from __future__ import annotations

import attrs
import pytest
from rig import Rig, leg_spec, vp8, write

from sansio.kernel import Codec, Kernel, LegMode

TRAILER = b"\xfa" + b"LKTS"
STAP_A = b"\x18" + b"\x00\x02\x67\x01" + b"\x00\x02\x65\x01"
STAP_A_WITH = b"\x18" + b"\x00\x02\x67\x01" + b"\x00\x07\x65\x01" + TRAILER
AGGREGATION = b"\x60\x01" + b"\x00\x03\x40\x01\x01" + b"\x00\x03\x26\x01\x01"
AGGREGATION_WITH = b"\x60\x01" + b"\x00\x03\x40\x01\x01" + b"\x00\x08\x26\x01\x01" + TRAILER


def passed(
    kernel: Kernel, codec: Codec, mode: LegMode, *payloads: bytes, cuts: bool = True, rtx_ssrc: int = 0
) -> tuple[list[bytes], Rig, int]:
    """What a subscriber gets of those payloads."""
    rig = Rig(kernel)
    stream, peer = rig.stream(codec), rig.subscriber()
    leg = kernel.add_leg(attrs.evolve(leg_spec(peer, mode, rtx_ssrc=rtx_ssrc), cuts_trailers=cuts))
    notices = rig.publisher.send(0.0, *(write(100 + n, 1000, one) for n, one in enumerate(payloads)))
    kernel.switch(0.0, leg, stream, notices[0].position, 5000)
    return [one.payload for one in rig.received(peer)], rig, leg


@pytest.mark.parametrize(
    ("codec", "mode", "given", "left"),
    [
        (Codec.OPAQUE, LegMode.PLAIN, b"frame" + TRAILER, b"frame"),
        (Codec.H264, LegMode.PLAIN, b"\x65picture" + TRAILER, b"\x65picture"),
        (Codec.H264, LegMode.PLAIN, b"\x7c\x45end of it" + TRAILER, b"\x7c\x45end of it"),
        (Codec.H264, LegMode.PLAIN, STAP_A_WITH, STAP_A),
        (Codec.H265, LegMode.PLAIN, b"\x26\x01picture" + TRAILER, b"\x26\x01picture"),
        (Codec.H265, LegMode.PLAIN, AGGREGATION_WITH, AGGREGATION),
        (Codec.AV1, LegMode.PLAIN, b"\x10\x32obu" + TRAILER, b"\x10\x32obu"),
        (Codec.AV1, LegMode.PLAIN, b"\x00\x08\x32obu" + TRAILER, b"\x00\x08\x32obu" + TRAILER),
    ],
    ids=["opaque", "H264", "FU-A", "STAP-A", "H265", "AP", "AV1", "AV1 with lengths"],
)
def test_trailers_are_cut_off(kernel: Kernel, codec: Codec, mode: LegMode, given: bytes, left: bytes) -> None:
    assert passed(kernel, codec, mode, given, b"after")[0] == [left, b"after"]


def test_other_legs_pass_them_on(kernel: Kernel) -> None:
    assert passed(kernel, Codec.OPAQUE, LegMode.PLAIN, b"frame" + TRAILER, cuts=False)[0] == [b"frame" + TRAILER]


def test_a_vp8_frame_keeps_its_descriptor(kernel: Kernel) -> None:
    whole = vp8(7, 3, 0, key=True)
    ((got,), *_) = passed(kernel, Codec.VP8, LegMode.VP8, whole + TRAILER)
    ((plain,), *_) = passed(kernel, Codec.VP8, LegMode.VP8, whole)
    assert got == plain


def test_what_is_sent_again_was_cut_too(kernel: Kernel) -> None:
    _, rig, leg = passed(kernel, Codec.OPAQUE, LegMode.PLAIN, b"frame" + TRAILER, rtx_ssrc=0xBBBB)
    number = kernel.leg_stats(leg).last_sequence_number
    assert kernel.retransmit(1.0, leg, [number & 0xFFFF], 0.05) == 1
    (peer,) = rig.subscribers.values()
    (again,) = rig.received(peer)
    assert again.payload[2:] == b"frame"
