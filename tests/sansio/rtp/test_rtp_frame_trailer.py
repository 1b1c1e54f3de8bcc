"""Trailers behind encoded frames, and how they are cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.rtp.frame_trailer import cut, trailer_bytes


def trailer(fields: bytes = b"\xfe\xf7\xff\xff\xff\xff\xff\xff\xff\xff") -> bytes:
    """By default with one field: tag 1, 8 bytes, a capture time of 0; all inverted."""
    return fields + bytes((len(fields) + 5 ^ 0xFF,)) + b"LKTS"


def units(*contents: bytes) -> bytes:
    return b"".join(len(one).to_bytes(2, "big") + one for one in contents)


TRAILER = trailer()


def test_a_trailer_is_found_and_cut() -> None:
    assert trailer_bytes(b"frame" + TRAILER) == len(TRAILER) == 15
    assert cut(b"frame" + TRAILER) == b"frame"
    assert cut(b"frame" + trailer(b"")) == b"frame"
    assert cut(cut(b"frame" + TRAILER + TRAILER)) == b"frame"


@pytest.mark.parametrize(
    "payload",
    [b"", b"LKTS", b"\xfaLKTS", b"frame", TRAILER, b"frame\xfbLKTS", b"frame\x00LKTS", b"frame" + TRAILER + b"more"],
    ids=["empty", "magic", "envelope", "none", "nothing before", "too short", "too long", "not at the end"],
)
def test_what_is_no_trailer_stays(payload: bytes) -> None:
    assert trailer_bytes(payload) == 0
    assert cut(payload) == payload


@pytest.mark.parametrize("head", [b"\x18", b"\x60\x01"], ids=["H264", "H265"])
def test_the_last_unit_of_an_aggregation_becomes_shorter(head: bytes) -> None:
    whole = head + units(b"sps", b"pps", b"picture" + TRAILER)
    assert cut(whole, len(head)) == head + units(b"sps", b"pps", b"picture")


@pytest.mark.parametrize(
    "payload",
    [
        b"\x18" + units(b"sps", TRAILER),
        b"\x18" + units(b"sps") + b"\x00\x02pp" + TRAILER,
        b"\x18\xff\xff" + TRAILER,
    ],
    ids=["nothing else in the last", "lengths that do not add up", "a length past the end"],
)
def test_an_aggregation_that_is_not_understood_stays(payload: bytes) -> None:
    assert cut(payload, 1) == payload


@given(st.binary(max_size=80), st.binary(max_size=20), st.integers(0, 2))
def test_any_bytes_are_cut_at_the_end_or_not_at_all(payload: bytes, fields: bytes, units_at: int) -> None:
    for one in (payload, payload + trailer(fields)):
        left = cut(one, units_at)
        assert len(left) <= len(one)
        assert units_at or one.startswith(left)
