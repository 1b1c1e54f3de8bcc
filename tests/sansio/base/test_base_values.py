"""The small base modules: serial numbers, wall clock, outputs, trace, errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import HTTP_STATUS, DropReason, LocalProtocolError, Refusal, RemoteProtocolError, SansioError
from sansio.outputs import Batch, HttpRequest, Run, Transmit
from sansio.seqnum import serial_difference, serial_newer, widen
from sansio.trace import NULL_TRACE, redact
from sansio.wallclock import WallClock

HERE, THERE, ELSEWHERE = ("192.0.2.1", 1), ("192.0.2.2", 2), ("2001:db8::1", 3)

# Serial numbers (RFC 1982)


@pytest.mark.parametrize(
    ("a", "b", "newer"),
    [(1, 0, True), (0, 1, False), (5, 5, False), (0, 65535, True), (65535, 0, False), (32768, 0, False), (32767, 0, True)],
)  # fmt: skip
def test_newer_serial_numbers(a: int, b: int, newer: bool) -> None:
    assert serial_newer(a, b) is newer


@given(st.integers(0, 65535), st.integers(-32768, 32767))
def test_the_distance_between_serials_is_signed(start: int, distance: int) -> None:
    assert serial_difference((start + distance) & 0xFFFF, start) == distance


@given(st.integers(0, 1 << 40), st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from([16, 32]))
def test_widening_finds_the_nearest_number(reference: int, distance: int, bits: int) -> None:
    half = 1 << (bits - 1)
    true = reference + (distance + half) % (2 * half) - half
    assert widen(true & ((1 << bits) - 1), reference, bits) == true


# Wall clock


def test_the_wall_clock_follows_its_offset() -> None:
    clock = WallClock(1_000_000.5)
    assert clock.seconds(2.0) == 1_000_002.5
    assert clock.milliseconds(2.0) == 1_000_002_500
    clock.offset = 10.0
    assert clock.seconds(2.0) == 12.0


def test_ntp_time_counts_from_1900_in_2_to_the_minus_32_seconds() -> None:
    assert WallClock(0.0).ntp(0.0) == 2_208_988_800 << 32
    assert WallClock(0.0).ntp(0.5) == (2_208_988_800 << 32) + (1 << 31)
    assert WallClock(float(1 << 32)).ntp(0.0) == 2_208_988_800 << 32


# Batches


def test_a_batch_cuts_its_runs_into_datagrams() -> None:
    batch = Batch(b"aabbcxyz", [Run(HERE, THERE, 0, 5, 2), Run(HERE, ELSEWHERE, 5, 8, 3)])
    assert list(batch) == [
        Transmit(HERE, THERE, b"aa"),
        Transmit(HERE, THERE, b"bb"),
        Transmit(HERE, THERE, b"c"),
        Transmit(HERE, ELSEWHERE, b"xyz"),
    ]
    assert len(batch) == 4


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_a_batch_of_single_datagrams_gives_them_back(datagrams: list[bytes]) -> None:
    batch = Batch.of([Transmit(HERE, THERE, data) for data in datagrams])
    assert [out.data for out in batch] == [data for data in datagrams if data]
    assert len(batch) == len([data for data in datagrams if data])


def test_a_request_has_no_parts_but_those_given() -> None:
    request = HttpRequest(method="GET", path="/")
    assert (request.query, request.headers, request.body, request.remote) == ({}, {}, b"", "")
    assert request.query is not HttpRequest(method="GET", path="/").query


# Trace


def test_redaction_is_stable_short_and_tells_nothing() -> None:
    assert redact("alice") == redact("alice") != redact("bob")
    assert len(redact("alice")) == 8
    assert redact("") == ""
    assert redact("\udcff")
    NULL_TRACE.note(0.0, "subject", "what", detail=1)


# Errors


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unauthenticated", 401), ("invalid_argument", 400), ("malformed", 400), ("not_found", 404), ("bad_route", 404),
        ("permission_denied", 403), ("unavailable", 503), ("internal", 500), ("unknown", 500), ("canceled", 408),
        ("deadline_exceeded", 408), ("already_exists", 409), ("resource_exhausted", 429), ("failed_precondition", 412),
        ("aborted", 409), ("out_of_range", 400), ("unimplemented", 501), ("dataloss", 500),
    ],
)  # fmt: skip
def test_a_refusal_has_the_status_of_its_code(code: str, status: int) -> None:
    """services 2.2: HTTP status for each Twirp code."""
    refusal = Refusal(code, "no")
    assert (refusal.status, refusal.message, refusal.meta, str(refusal)) == (status, "no", {}, "no")
    assert code in HTTP_STATUS


def test_a_refusal_may_have_a_status_and_details_of_its_own() -> None:
    refusal = Refusal("resource_exhausted", "full", status=503, meta={"argument": "room"})
    assert (refusal.status, refusal.meta) == (503, {"argument": "room"})


def test_the_tree_of_errors() -> None:
    assert RemoteProtocolError("bad", hint=400).hint == 400
    assert RemoteProtocolError("bad").hint is None
    for error in (LocalProtocolError, RemoteProtocolError, Refusal):
        assert issubclass(error, SansioError)
    assert len({reason.value for reason in DropReason}) == len(DropReason)
