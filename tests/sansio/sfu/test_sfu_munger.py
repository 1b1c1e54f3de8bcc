"""Timestamps over changes of source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.kernel import LegStats
from sansio.sfu.munger import ClockReport, Incoming, Munger, translate

CLOCK = 90_000
NTP = 1 << 32
UNUSED = LegStats(0, 0, 0, 0, 0, -1, False, 0, 77, 0, 0.0, 0, 0.0, -1, -1)


def leg(last_timestamp: int, last_sent: float) -> LegStats:
    return UNUSED._replace(started=True, last_timestamp=last_timestamp, last_sent=last_sent)


def report(at: float, timestamp: int) -> ClockReport:
    return ClockReport(round((at + 50) * NTP), timestamp, at)


def started(in_timestamp: int = 1000, at: float = 10.0) -> Munger:
    munger = Munger(CLOCK)
    first = Incoming(in_timestamp, at, False, None)
    outgoing = munger.align(first, UNUSED, None, is_resuming=True)
    assert outgoing == in_timestamp & 0xFFFFFFFF
    munger.commit(first, outgoing)
    return munger


def test_the_first_timestamp_is_the_publishers_without_its_wraps() -> None:
    started((3 << 32) + 5)


@pytest.mark.parametrize("origin", [0, 12_345_678, 1 << 40])
def test_clocks_translate_through_reports(origin: int) -> None:
    high, low = report(10.0, origin), report(10.5, 5_000_000)
    assert translate(origin + 90_000, high, low, CLOCK) == 5_000_000 + 45_000


@given(
    st.integers(0, 1 << 48),
    st.integers(0, 1 << 48),
    st.floats(0, 1000),
    st.floats(0, 1000),
    st.integers(-(1 << 20), 1 << 20),
)
def test_translation_there_and_back(a: int, b: int, at_a: float, at_b: float, step: int) -> None:
    one, two = report(at_a, a), report(at_b, b)
    assert translate(translate(a + step, one, two, CLOCK), two, one, CLOCK) == a + step


# Name: resuming, seconds since the last packet, seconds the reference lies behind real time, after mute, expected seconds.
RESUMES = [
    pytest.param(1.0, 0.0, False, 1.0, id="in step"),
    pytest.param(5.0, 1.5, False, 3.5, id="a lag that a long queue explains"),
    pytest.param(9.0, 2.5, False, 9.0, id="a lag that nothing explains"),
    pytest.param(9.0, 8.9, True, 9.0, id="the clock stood still during a mute"),
    pytest.param(9.0, 0.1, True, 8.9, id="the clock ran during a mute"),
    pytest.param(1.0, -1.5, False, 2.5, id="ahead"),
    pytest.param(1.0, -9.0, False, 1.0, id="far ahead"),
]


@pytest.mark.parametrize(("passed", "lag", "after_mute", "expected"), RESUMES)
def test_resuming_the_same_source(passed: float, lag: float, after_mute: bool, expected: float) -> None:
    munger = started()
    packet = Incoming(1000 + round((passed - lag) * CLOCK), 10.0 + passed, True, None)
    outgoing = munger.align(packet, leg(1000, 10.0), None, is_resuming=True, is_after_mute=after_mute)
    assert outgoing == 1000 + round(expected * CLOCK)


SWITCHES = [
    pytest.param(0.1, 0.0, 0.1, id="in step"),
    pytest.param(0.1, 0.1, None, id="the same instant"),
    pytest.param(0.1, 0.14, None, id="slightly behind"),
    pytest.param(0.1, 0.16, "refused", id="behind"),
    pytest.param(0.1, 5.0, 0.1, id="absurdly behind"),
    pytest.param(0.1, -0.5, 0.6, id="ahead"),
    pytest.param(0.1, -5.0, 0.1, id="absurdly ahead"),
]


@pytest.mark.parametrize(("passed", "lag", "expected"), SWITCHES)
@pytest.mark.parametrize("may_refuse", [False, True])
def test_switching_to_another_layer(passed: float, lag: float, expected: float | str | None, may_refuse: bool) -> None:
    munger = started()
    old, new = report(9.0, 1000 - CLOCK), report(8.0, 7_000_000 - 2 * CLOCK)
    packet = Incoming(7_000_000 + round((passed - lag) * CLOCK), 10.0 + passed, False, new)
    outgoing = munger.align(packet, leg(1000, 10.0), old, is_resuming=False, may_refuse=may_refuse)
    if expected == "refused" and may_refuse:
        assert outgoing is None
    elif isinstance(expected, float):
        assert outgoing == pytest.approx(1000 + expected * CLOCK, abs=1)
    else:
        assert outgoing == 1001


@pytest.mark.parametrize(("has_old", "has_new"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("is_resuming", [False, True])
def test_without_both_reports_arrival_decides(has_old: bool, has_new: bool, is_resuming: bool) -> None:
    munger = started()
    packet = Incoming(7_000_000, 10.4, False, report(10.0, 7) if has_new else None)
    old = report(9.0, 1000) if has_old else None
    assert munger.align(packet, leg(1000, 10.0), old, is_resuming=is_resuming, may_refuse=True) == 1000 + 36_000


def test_a_leg_that_began_with_frames_of_our_own_goes_on_from_them() -> None:
    munger = Munger(CLOCK)
    packet = Incoming(7_000_000, 10.4, False, None)
    assert munger.align(packet, leg(500, 10.0), None, is_resuming=True) == 500 + 36_000


@given(
    st.integers(0, 1 << 33),
    st.floats(10.0, 20.0),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.tuples(st.floats(0, 20), st.integers(0, 1 << 33))),
)
def test_time_never_goes_back(
    timestamp: int, at: float, same: bool, resuming: bool, mute: bool, given_report: tuple[float, int] | None
) -> None:
    munger = started()
    new = None if given_report is None else report(*given_report)
    packet = Incoming(timestamp, at, same, new)
    outgoing = munger.align(
        packet, leg(1000, 15.0), report(9.0, 500), is_resuming=resuming, is_after_mute=mute, may_refuse=False
    )
    assert outgoing is not None
    assert outgoing > 1000


# Reports


def test_reports_follow_the_offset_in_force() -> None:
    munger = started(1000, 10.0)
    packet = Incoming(500_000, 20.0, False, None)
    munger.commit(packet, 901_000)
    ntp_timestamp, rtp_timestamp = munger.outgoing_report(21.0, report(20.5, 545_000)) or (0, 0)
    assert ntp_timestamp == round(71.0 * NTP)
    assert rtp_timestamp == 901_000 + 90_000


@pytest.mark.parametrize(
    ("clock_report", "usable"),
    [
        pytest.param(report(12.0, 1000 + 2 * CLOCK), True, id="newer"),
        pytest.param(report(10.0, 1000), True, id="of the same instant"),
        pytest.param(report(9.0, 1000 - CLOCK), True, id="older, one run of the clock"),
        pytest.param(report(5.0, 1000 - CLOCK), False, id="older, the clock stood still meanwhile"),
        pytest.param(None, False, id="none"),
    ],
)
def test_which_reports_serve_after_the_first_switch(clock_report: ClockReport | None, usable: bool) -> None:
    assert (started().outgoing_report(13.0, clock_report) is not None) == usable


def test_after_a_later_switch_only_newer_reports_serve() -> None:
    munger = started()
    munger.commit(Incoming(1000 + CLOCK, 11.0, True, None), 1000 + CLOCK)
    assert munger.outgoing_report(12.0, report(10.5, 1000 + CLOCK // 2)) is None
    assert munger.outgoing_report(12.0, report(11.5, 1000 + CLOCK * 3 // 2)) is not None


def test_reports_never_go_back() -> None:
    munger = started()
    assert munger.outgoing_report(13.0, report(12.0, 1000 + 2 * CLOCK)) is not None
    assert munger.outgoing_report(13.1, report(13.0, 1000 + 2 * CLOCK)) is None


def test_nothing_is_reported_before_the_start() -> None:
    assert Munger(CLOCK).outgoing_report(1.0, report(0.5, 5)) is None
