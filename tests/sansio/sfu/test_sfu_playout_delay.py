"""How long subscribers are asked to hold video back."""

from __future__ import annotations

import pytest

from sansio.sfu import PlayoutDelay


class Viewer:
    """A subscriber that reports once a second and has got all but the last packets."""

    def __init__(self, delay: PlayoutDelay, *, sent: int = 1000) -> None:
        self.delay = delay
        self.now = 0.0
        self.sent = sent
        self.packets = 0

    def report(self, jitter_ms: float = 0.0, *, nacked: int = 0, behind: int = 5) -> bool:
        self.now += 1.0
        self.sent += 100
        self.packets += 100
        self.delay.handle_nack(nacked)
        return self.delay.handle_report(
            self.now,
            jitter_ms=jitter_ms,
            highest_received=self.sent - behind & 0xFFFF,
            last_sent=self.sent & 0xFFFF,
            packets=self.packets,
        )

    def settled(self, jitter_ms: float, *, nacked: int = 0) -> int:
        """The least delay asked for when nothing changes any more."""
        asked = self.delay.value
        for _ in range(200):
            self.report(jitter_ms, nacked=nacked)
            asked = self.delay.value or asked
        assert asked is not None
        return asked[0]


def test_the_limits_of_the_room_are_asked_for_first() -> None:
    assert PlayoutDelay(0.0, 100, 400).value == (100, 400)
    assert PlayoutDelay(0.0, 100, 0).value == (100, 10_000)
    assert PlayoutDelay(0.0, 0, 400).value == (0, 400)
    assert PlayoutDelay(0.0, 500, 400).value == (500, 500)


def test_a_value_is_carried_until_a_packet_with_it_arrived() -> None:
    viewer = Viewer(PlayoutDelay(0.0, 100, 400))
    steps = []
    for jitter_ms, behind in ((0, 5), (0, 5), (20, 5), (18, 100), (18, 99)):
        changed = viewer.report(jitter_ms, behind=behind)
        steps.append((changed, viewer.delay.value))
    assert steps == [(True, None), (False, None), (True, (180, 400)), (False, (180, 400)), (True, None)]


def test_arrivals_are_told_across_the_wrap_of_numbers() -> None:
    viewer = Viewer(PlayoutDelay(0.0, 0, 400), sent=65_300)
    values = []
    for jitter_ms in (0, 3, 3):
        viewer.report(jitter_ms)
        values.append(viewer.delay.value)
    assert values == [None, (30, 400), None]


def test_the_delay_moves_slowly() -> None:
    viewer = Viewer(PlayoutDelay(0.0, 0, 1000))
    steps = []
    for jitter in (50, 50, 50, 0, 0, 0):
        viewer.report(jitter_ms=jitter)
        steps.append((viewer.delay.value or (None,))[0])
    assert steps == [80, 160, 240, 160, 80, 0]


@pytest.mark.parametrize(
    ("jitter_ms", "nacked", "is_screen", "settled"),
    [(20, 0, False, 200), (1, 0, False, 100), (90, 0, False, 400), (20, 80, False, 240), (20, 60, False, 200),
     (20, 900, False, 280), (20, 0, True, 100), (20, 100, True, 100)],
    ids=["ten times the jitter", "not below", "not above", "with losses", "few losses", "at most all", "screen",
         "screen with losses"],
)  # fmt: skip
def test_where_the_delay_settles(jitter_ms: float, nacked: int, is_screen: bool, settled: int) -> None:
    delay = PlayoutDelay(0.0, 100, 400, ignores_jitter=is_screen)
    assert Viewer(delay).settled(jitter_ms, nacked=nacked) == settled
