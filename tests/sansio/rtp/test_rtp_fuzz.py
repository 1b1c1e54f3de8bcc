"""Any bytes give a value or the package's one error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sansio.rtp import RtpError, av1, dependency_descriptor, extensions, h264, h265, opus, packet, red, vp8, vp9

PARSERS: dict[str, Callable[[bytes], object]] = {
    "header": packet.parse_header,
    "header and extensions": lambda data: extensions.parse_extensions(data, packet.parse_header(data)),
    "one-byte extensions": lambda data: extensions.parse_one_byte(data, 0, len(data)),
    "two-byte extensions": lambda data: extensions.parse_two_byte(data, 0, len(data)),
    "text": extensions.parse_text,
    "audio level": extensions.parse_audio_level,
    "transport-cc": extensions.parse_transport_cc,
    "abs-send-time": extensions.parse_abs_send_time,
    "abs-capture-time": extensions.parse_abs_capture_time,
    "playout delay": extensions.parse_playout_delay,
    "rtx": lambda data: packet.parse_rtx(data, 0, len(data)),
    "vp8": vp8.parse,
    "vp9": vp9.parse,
    "h264 sps": lambda data: h264.parse_sps_size(data, 0, len(data)),
    "h265 sps": lambda data: h265.parse_sps_size(data, 0, len(data)),
    "av1 aggregation": av1.parse_aggregation,
    "av1 elements": av1.obu_elements,
    "av1 obu": lambda data: av1.obu_header(data, 0, len(data)),
    "av1 sequence": lambda data: av1.parse_sequence_size(data, 0, len(data)),
    "opus": opus.duration,
    "red": red.parse,
    "red types": lambda data: red.rewrite_payload_types(data, {number: number for number in range(64)}),
    "descriptor": lambda data: dependency_descriptor.parse(data, None),
    "descriptor frame": dependency_descriptor.peek_frame,
}
"""May raise RtpError."""

READERS: dict[str, Callable[[bytes], object]] = {
    f"{module.__name__} {name}": getattr(module, name)
    for module in (vp8, vp9, h264, h265, av1, opus)
    for name in ("is_key_frame", "key_frame_size", "nal_units", "temporal_id", "has_idr", "is_dtx")
    if hasattr(module, name)
} | {"is_rtcp": packet.is_rtcp, "structure present": dependency_descriptor.peek_structure_present}
"""May raise nothing."""


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=80))
@example(data=b"")
@example(data=b"\xff" * 300)
@example(data=b"\x80" + bytes(300))
def test_any_bytes_give_a_value_or_the_one_error(name: str, data: bytes) -> None:
    for view in (data, memoryview(data)):
        with suppress(RtpError):
            PARSERS[name](view)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=80))
@example(data=b"")
def test_readers_of_any_bytes_raise_nothing(name: str, data: bytes) -> None:
    for view in (data, memoryview(data)):
        READERS[name](view)  # type: ignore[arg-type]
