"""DCEP messages: bytes, round trips, refusals."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.sctp.dcep import ACK, DcepError, Open, parse


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        pytest.param(Open(label="_reliable"), "03 00 0100 00000000 0009 0000 5f72656c6961626c65", id="reliable"),
        pytest.param(
            Open(label="_lossy", ordered=False, max_retransmits=0),
            "03 81 0100 00000000 0006 0000 5f6c6f737379",
            id="lossy",
        ),
        pytest.param(
            Open(label="é", protocol="p", max_lifetime_ms=500, priority=0),
            "03 02 0000 000001f4 0002 0001 c3a9 70",
            id="timed",
        ),
    ],
)
def test_open_is_the_bytes_of_rfc_8832(opening: Open, expected: str) -> None:
    assert opening.encode() == bytes.fromhex(expected)
    assert parse(opening.encode()) == opening


def test_ack_is_one_byte() -> None:
    assert ACK == b"\2"
    assert parse(ACK) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="empty"),
        pytest.param("04", id="unknown message"),
        pytest.param("03 00 0100 00000000 0000", id="short"),
        pytest.param("03 03 0100 00000000 0000 0000", id="unknown type"),
        pytest.param("03 00 0100 00000000 0003 0000 6162", id="label cut short"),
        pytest.param("03 00 0100 00000000 0001 0002 6162", id="protocol cut short"),
        pytest.param("03 00 0100 00000000 0001 0000 ff", id="label not UTF-8"),
    ],
)
def test_what_is_not_dcep_is_refused(data: str) -> None:
    with pytest.raises(DcepError):
        parse(bytes.fromhex(data))


@given(
    st.builds(
        Open,
        label=st.text(max_size=30),
        protocol=st.text(max_size=30),
        ordered=st.booleans(),
        max_retransmits=st.none() | st.integers(0, 0xFFFFFFFF),
        priority=st.integers(0, 0xFFFF),
    )
)
def test_open_survives_the_wire(opening: Open) -> None:
    assert parse(opening.encode()) == opening


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_the_one_error(data: bytes) -> None:
    with suppress(DcepError):
        parse(data)
