"""Scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.sfu import (
    ConnectionQuality,
    DownTrackStats,
    QualityScorer,
    ReceiveWindows,
    SendWindows,
    Window,
    mos,
    quality_of,
    worst,
)
from sansio.sfu.layerset import NO_STATS
from sansio.sfu.quality import bitrate_score, layer_score, loss_weight, packet_score

POOR, GOOD, EXCELLENT, LOST = ConnectionQuality


def window(**changes: float) -> Window:
    base = Window(
        duration=5.0, packets=250, lost=0, out_of_order=0, bytes=20_000, jitter_ms=0.0, rtt=0.0, is_reporting=True
    )
    return base._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("score", "quality"), [(81, EXCELLENT), (80, GOOD), (41, GOOD), (40, POOR), (21, POOR), (20, LOST)]
)
def test_levels(score: float, quality: ConnectionQuality) -> None:
    assert quality_of(score) is quality


@pytest.mark.parametrize(("score", "value"), [(-5, 1.0), (0, 1.0), (100, 4.5), (120, 4.5), (80, 4.024), (50, 2.575)])
def test_mos(score: float, value: float) -> None:
    assert mos(score) == pytest.approx(value, abs=1e-3)


@given(st.floats(7, 100), st.floats(7, 100))
def test_mos_grows_with_the_score(a: float, b: float) -> None:
    # Below 6.5 the formula of G.107 dips under 1; nothing here scores so low.
    assert (a <= b) == (mos(a) <= mos(b)) or a == pytest.approx(b)


@pytest.mark.parametrize(
    ("changes", "weight", "score"),
    [
        ({}, 8, 100.0),
        ({"rtt": 0.2}, 8, 97.5),
        ({"rtt": 0.2, "jitter_ms": 50.0}, 8, 92.0),
        ({"lost": 250}, 1, 50.0),
        ({"lost": 10, "out_of_order": 10}, 8, 100.0),
        ({"lost": 250}, 10, 0.0),
        ({"packets": 0}, 10, 100.0),
    ],
)
def test_delay_and_loss(changes: dict[str, float], weight: float, score: float) -> None:
    assert packet_score(window(**changes), weight) == pytest.approx(score)


@pytest.mark.parametrize(
    ("mime_type", "has_fec", "weight"),
    [
        ("audio/opus", False, 8.0),
        ("audio/opus", True, 8 / 1.5),
        ("audio/RED", True, 4 / 1.5),
        ("video/VP8", True, 10.0),
        ("audio/PCMU", False, 8.0),
    ],
)
def test_weights(mime_type: str, has_fec: bool, weight: float) -> None:
    assert loss_weight(mime_type, has_fec=has_fec) == weight


def test_bitrate_and_layers() -> None:
    assert bitrate_score(0, 5) == 100
    assert bitrate_score(100, 200) == 100
    assert bitrate_score(100, 0) == 0
    assert bitrate_score(2.718281828, 1) == pytest.approx(80)
    assert layer_score(1) == 65
    assert layer_score(9) == 0


def test_a_score_falls_fast_and_rises_slowly() -> None:
    scorer = QualityScorer(0.0, "audio/opus")
    assert scorer.handle_window(5.0, window()).quality is EXCELLENT
    fallen = scorer.handle_window(10.0, window(lost=250)).value
    assert fallen == pytest.approx(100 + 0.8 * (30 - 100))
    assert scorer.handle_window(15.0, window()).value == pytest.approx(fallen + 0.4 * (100 - fallen))


@pytest.mark.parametrize(("reporting", "quality"), [(True, POOR), (False, LOST)])
def test_no_packets(reporting: bool, quality: ConnectionQuality) -> None:
    scorer = QualityScorer(0.0, "video/VP8")
    assert scorer.handle_window(5.0, window(packets=0, is_reporting=reporting)).quality is quality


def test_mute_is_as_good_as_can_be() -> None:
    scorer = QualityScorer(0.0, "video/VP8")
    scorer.handle_window(5.0, window(packets=0))
    scorer.set_muted(6.0, True)
    assert scorer.handle_window(10.0, window(packets=0)).quality is EXCELLENT
    scorer.set_muted(13.0, False)
    assert scorer.handle_window(15.0, window(packets=0)).quality is EXCELLENT
    assert scorer.handle_window(20.0, window(packets=0)).quality is POOR


def test_mute_does_not_hide_a_lost_connection() -> None:
    scorer = QualityScorer(0.0, "video/VP8")
    scorer.handle_window(5.0, window(packets=0, is_reporting=False))
    scorer.set_muted(6.0, True)
    assert scorer.handle_window(10.0, window(packets=0)).quality is LOST


def test_a_paused_track_is_poor() -> None:
    scorer = QualityScorer(0.0, "video/VP8")
    scorer.set_paused(True)
    assert scorer.handle_window(5.0, window()).quality is POOR
    scorer.set_paused(False)
    assert scorer.handle_window(10.0, window()).quality is GOOD


def test_loss_among_few_packets_weighs_less() -> None:
    steady, sparse = QualityScorer(0.0, "audio/opus"), QualityScorer(0.0, "audio/opus")
    for at in range(5, 130, 5):
        steady.handle_window(float(at), window())
        sparse.handle_window(float(at), window())
    full = steady.handle_window(130.0, window(lost=10)).value
    few = sparse.handle_window(130.0, window(packets=25, lost=1)).value
    assert few > full


def test_a_participant_is_as_good_as_the_worst_track() -> None:
    assert worst([90.0, 30.0, 100.0]).quality is POOR
    assert worst([]).value == 100
    assert worst([]).mos == 4.5


def test_windows_of_a_received_stream() -> None:
    before = NO_STATS._replace(packets=100, bytes=1000, expected=110, received=100, out_of_order=2)
    windows = ReceiveWindows(0.0, before, 90_000)
    after = before._replace(packets=150, bytes=3000, expected=170, received=150, out_of_order=3, jitter=900.0)
    assert windows.take(5.0, after, 0.1) == Window(5.0, 50, 10, 1, 2000, 10.0, 0.1, True)
    assert windows.take(10.0, after, 0.1).packets == 0


def test_windows_of_a_subscription() -> None:
    before = DownTrackStats(100, 1000, 0, 5, 0.0, 0, 0.07, None, 0, 0, 0)
    windows = SendWindows(0.0, before, 90_000)
    after = before._replace(packets=200, octets=5000, cumulative_lost=15, jitter=900, last_report_at=4.0)
    assert windows.take(5.0, after, upstream_lost=3, upstream_jitter_ms=4.0) == Window(
        5.0, 100, 7, 0, 4000, 6.0, 0.07, True
    )
    assert not windows.take(40.0, after).is_reporting
