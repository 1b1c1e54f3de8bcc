"""VP9 payload descriptors (RFC 9628 §4.2) and what a key picture says of itself."""

from __future__ import annotations

import pytest

from sansio.rtp import RtpError, vp9
from sansio.rtp.bits import BitWriter
from sansio.rtp.vp9 import ScalabilityStructure

KEY_FRAME = bytes.fromhex("824983420027f016760038241c18")  # 640x360, profile 0, as libvpx writes it
KEY_FRAME_444 = bytes.fromhex("a2498342000282016ac007048383")  # 322x182, profile 1
DELTA_FRAME = bytes.fromhex("860040929c00500100020060a620")


def h(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def frame_header(profile: int, *color: tuple[int, int]) -> bytes:
    """An uncompressed header of a 640 x 360 key frame; the profile comes low bit first."""
    writer = BitWriter()
    for value, bits in ((2, 2), (profile, 2), (0, 2), (2, 2), (0x498342, 24), *color, (639, 16), (359, 16)):
        writer.write(value, bits)
    return writer.to_bytes()


@pytest.mark.parametrize(
    ("descriptor", "fields"),
    [
        pytest.param(
            "0c", {"header_bytes": 1, "picture_id_bits": 0, "tid": -1, "sid": -1, "tl0_pic_idx": -1}, id="bare"
        ),
        pytest.param("8c 11", {"header_bytes": 2, "picture_id": 0x11, "picture_id_bits": 7}, id="7-bit picture id"),
        pytest.param(
            "8c 92 34", {"header_bytes": 3, "picture_id": 0x1234, "picture_id_bits": 15}, id="15-bit picture id"
        ),
        pytest.param(
            "ac 11 55 99",
            {"header_bytes": 4, "tid": 2, "switching_up": True, "sid": 2, "inter_layer": True, "tl0_pic_idx": 0x99},
            id="layers",
        ),
        pytest.param(
            "bc 11 20",
            {"header_bytes": 3, "is_flexible": True, "tid": 1, "switching_up": False, "sid": 0, "tl0_pic_idx": -1},
            id="layers in flexible mode: no TL0PICIDX",
        ),
        pytest.param(
            "fc 11 20 03 05 08",
            {"header_bytes": 6, "is_inter_picture": True, "references": (1, 2, 4)},
            id="references",
        ),
        pytest.param("4c", {"header_bytes": 1, "is_inter_picture": True, "references": ()}, id="no references told"),
        pytest.param("09", {"begin_of_frame": True, "end_of_frame": False, "not_reference": True}, id="B and Z"),
        pytest.param("04", {"begin_of_frame": False, "end_of_frame": True, "not_reference": False}, id="E"),
        pytest.param(
            "0e 38 0140 00b4 0280 0168 01 94 01",
            {
                "header_bytes": 13,
                "structure": ScalabilityStructure(2, ((320, 180), (640, 360)), ((4, True, (1,)),)),
            },
            id="structure",
        ),
        pytest.param("0e 00", {"header_bytes": 2, "structure": ScalabilityStructure(1, (), ())}, id="empty structure"),
    ],
)
def test_fields_are_read(descriptor: str, fields: dict[str, object]) -> None:
    parsed = vp9.parse(h(descriptor) + DELTA_FRAME)._asdict()
    assert {name: parsed[name] for name in fields} == fields


@pytest.mark.parametrize(
    "data",
    [
        "",
        "8c",
        "8c 91",
        "ac 11",
        "ac 11 20",
        "fc 11 20",
        "fc 11 20 03",
        "0e",
        "0e 10 01",
        "0e 08",
        "0e 08 01",
        "0e 08 01 04",
    ],
)
def test_a_descriptor_that_is_cut_short_is_refused(data: str) -> None:
    with pytest.raises(RtpError):
        vp9.parse(h(data))


def test_four_references_are_refused() -> None:
    with pytest.raises(RtpError, match="three"):
        vp9.parse(h("fc 11 20 03 05 07 02") + DELTA_FRAME)


def test_a_descriptor_that_goes_past_the_end_given_is_refused() -> None:
    with pytest.raises(RtpError):
        vp9.parse(h("8c 92 34") + KEY_FRAME, 0, 2)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(h("08") + KEY_FRAME, True, id="key frame"),
        pytest.param(h("28 00 00") + KEY_FRAME, True, id="lowest spatial layer"),
        pytest.param(h("28 03 00") + KEY_FRAME, False, id="higher spatial layer"),
        pytest.param(h("48") + KEY_FRAME, False, id="predicted"),
        pytest.param(h("04") + KEY_FRAME, False, id="not the first packet"),
        pytest.param(h("08") + DELTA_FRAME, False, id="intra-only or inter frame by its own header"),
        pytest.param(h("08") + b"\x88" + KEY_FRAME, False, id="shows an existing frame"),
        pytest.param(h("08") + b"\xb0\x24\xc1", True, id="profile 3"),
        pytest.param(h("08") + b"\x00garbage", True, id="encrypted: the descriptor is believed"),
        pytest.param(h("08"), False, id="no frame"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_key_frames_are_told_by_descriptor_and_frame_header(payload: bytes, expected: bool) -> None:
    assert vp9.is_key_frame(payload) is expected


@pytest.mark.parametrize(
    ("payload", "size"),
    [
        pytest.param(h("08") + KEY_FRAME, (640, 360), id="profile 0"),
        pytest.param(h("08") + KEY_FRAME_444, (322, 182), id="profile 1"),
        pytest.param(h("08") + frame_header(0b01, (0, 1), (2, 3), (0, 1)), (640, 360), id="profile 2"),
        pytest.param(h("08") + frame_header(0b10, (7, 3), (0, 1)), (640, 360), id="sRGB in profile 1"),
        pytest.param(h("0a 38 0140 00b4 0280 0168 00") + KEY_FRAME, (640, 360), id="structure: the highest layer"),
        pytest.param(h("08") + KEY_FRAME[:6], (0, 0), id="cut short"),
        pytest.param(h("08") + b"\x82\x49\x83\x43" + KEY_FRAME[4:], (0, 0), id="wrong sync code"),
        pytest.param(h("48") + KEY_FRAME, (0, 0), id="not a key frame"),
        pytest.param(b"", (0, 0), id="nothing"),
    ],
)
def test_size_of_key_frames(payload: bytes, size: tuple[int, int]) -> None:
    assert vp9.key_frame_size(payload) == size
