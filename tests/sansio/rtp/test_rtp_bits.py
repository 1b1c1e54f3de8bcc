"""Bits and codes: what is written is read again; ends are noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.rtp import RtpError
from sansio.rtp.bits import BitReader, BitWriter


@given(st.lists(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, (1 << n) - 1), st.just(n))), max_size=20))
def test_fixed_widths(fields: list[tuple[int, int]]) -> None:
    writer = BitWriter()
    for value, bits in fields:
        writer.write(value, bits)
    assert writer.bits == sum(bits for _, bits in fields)
    reader = BitReader(writer.to_bytes())
    assert [reader.read(bits) for _, bits in fields] == [value for value, _ in fields]


@given(st.lists(st.integers(1, 100).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))), max_size=20))
def test_non_symmetric_codes(fields: list[tuple[int, int]]) -> None:
    writer = BitWriter()
    for value, n in fields:
        writer.non_symmetric(value, n)
    reader = BitReader(writer.to_bytes())
    assert [reader.non_symmetric(n) for _, n in fields] == [value for value, _ in fields]


def test_non_symmetric_codes_of_five_values() -> None:
    """AV1 bitstream §4.10.7: 0, 1 and 2 take two bits, 3 and 4 three."""
    reader = BitReader(bytes((0b00_01_10_11, 0b0_111_0000)))
    assert [reader.non_symmetric(5) for _ in range(5)] == [0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 1 << 31), max_size=10))
def test_exp_golomb_codes(values: list[int]) -> None:
    writer = BitWriter()
    for value in values:
        writer.exp_golomb(value)
    reader = BitReader(writer.to_bytes())
    assert [reader.exp_golomb() for _ in values] == values


def test_signed_exp_golomb_codes() -> None:
    writer = BitWriter()
    for code in range(5):
        writer.exp_golomb(code)
    reader = BitReader(writer.to_bytes())
    assert [reader.signed_exp_golomb() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_the_end_is_noticed() -> None:
    reader = BitReader(b"\xff")
    assert reader.read(8) == 0xFF
    assert reader.read(0) == 0
    with pytest.raises(RtpError):
        reader.flag()


def test_exp_golomb_codes_are_bounded() -> None:
    with pytest.raises(RtpError, match="too long"):
        BitReader(bytes(40)).exp_golomb()


def test_values_that_do_not_fit_are_the_callers_fault() -> None:
    with pytest.raises(LocalProtocolError):
        BitWriter().write(4, 2)
    with pytest.raises(LocalProtocolError):
        BitWriter().non_symmetric(5, 5)
