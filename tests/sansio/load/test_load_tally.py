from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.load.tally import Stream, Tally

HERE, THERE = ("10.0.0.1", 1), ("10.0.0.2", 2)


def rtp(number: int, ssrc: int = 7, kind: int = 96) -> tuple[tuple[str, int], tuple[str, int], bytes]:
    return HERE, THERE, struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, 0, ssrc) + b"x" * 88


@pytest.mark.parametrize(
    ("numbers", "received", "lost"),
    [
        ([1, 2, 3], 3, 0),
        ([1, 3, 4], 3, 1),
        ([1, 3, 2, 4], 4, 0),
        ([65534, 65535, 0, 1], 4, 0),
        ([65534, 1], 2, 2),
        ([5], 1, 0),
        ([5, 5, 6], 3, 0),
        ([10, 9], 2, 0),
    ],
    ids=["whole", "gap", "disorder", "wrap", "gap over wrap", "single", "twice", "older than the first"],
)
def test_losses(numbers: list[int], received: int, lost: int) -> None:
    tally = Tally()
    assert tally.handle_datagrams([rtp(number) for number in numbers]) == []
    (stream,) = tally.streams.values()
    assert (stream.received, stream.lost, stream.octets) == (received, lost, received * 100)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x80\x60" + b"x" * 9, b"\x80\xc8" + bytes(20), b"\x00\x01" + bytes(20), b"\x16\xfe" + bytes(20),
     b"\xff" * 40],
    ids=["empty", "one byte", "cut", "RTCP", "STUN", "DTLS", "none of all"],
)  # fmt: skip
def test_what_is_not_rtp_is_left(data: bytes) -> None:
    tally = Tally()
    assert tally.handle_datagrams([rtp(1), (HERE, THERE, data), rtp(2)]) == [1]
    assert tally.streams[7].received == 2


def test_rtcp_is_neither_counted_nor_left_if_it_is_not_heeded() -> None:
    tally = Tally()
    assert tally.handle_datagrams([rtp(1), (HERE, THERE, b"\x80\xc8" + bytes(20)), rtp(2)], heeds_rtcp=False) == []
    assert {ssrc: one.received for ssrc, one in tally.streams.items()} == {7: 2}


def test_sources_are_apart_and_know_their_payload_type() -> None:
    tally = Tally()
    tally.handle_datagrams([rtp(1, 7, 96), rtp(9, 8, 0x80 | 111), rtp(2, 7, 96)])
    assert {ssrc: (one.payload_type, one.received) for ssrc, one in tally.streams.items()} == {7: (96, 2), 8: (111, 1)}


def test_counting_begins_anew() -> None:
    tally = Tally()
    tally.handle_datagrams([rtp(number) for number in (1, 2, 5)])
    tally.restart()
    assert (tally.streams[7].received, tally.streams[7].lost) == (0, 0)
    tally.handle_datagrams([rtp(number) for number in (6, 8)])
    assert (tally.streams[7].received, tally.streams[7].lost) == (2, 1)


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 0xFFFF))
def test_losses_are_what_was_left_out(kept: list[bool], first: int) -> None:
    stream = Stream(first)
    stream.count(first, 1)
    for index, keep in enumerate(kept, 1):
        if keep:
            stream.count((first + index) & 0xFFFF, 1)
    last = max((index for index, keep in enumerate(kept, 1) if keep), default=0)
    assert stream.lost == last - sum(kept)
