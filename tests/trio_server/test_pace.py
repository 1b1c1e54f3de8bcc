"""How often a busy socket is read: bounds of the rests, and that quiet sockets have none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing

from trio_server import pace
from trio_server.pace import Pace


class FakeAlarm:
    """Readable at once; remembers what it was set to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.is_closed = False

    def fileno(self) -> int:
        return 0

    def set(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAlarm]:
    made = FakeAlarm()

    async def readable(_: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(pace, "_alarm", lambda: made)
    monkeypatch.setattr(trio.lowlevel, "wait_readable", readable)
    yield made
    assert made.is_closed


async def rest_after(clock: trio.testing.MockClock, each: Pace, *, gap: float, took: float, found: bool = True) -> bool:
    """A reading so long after the last has ended."""
    clock.jump(gap)
    each.begin()
    clock.jump(took)
    return await each.rest(found=found)


@pytest.mark.parametrize(
    ("gap", "took", "pause"),
    [
        (0.001, 0.0001, 0.0009),  # a millisecond from the beginning of one reading to that of the next
        (0.001, 0.0004, 0.0006),
        (0.001, 0.0011, None),
        (0.001, 0.0200, None),  # a machine at its limit reads on
        (0.003, 0.0001, None),  # quiet
    ],
)
async def test_rests_are_bounded(
    alarm: FakeAlarm, mock_clock: trio.testing.MockClock, gap: float, took: float, pause: float | None
) -> None:
    with Pace() as each:
        assert not await rest_after(mock_clock, each, gap=10.0, took=0.0)
        assert await rest_after(mock_clock, each, gap=gap, took=took) == (pause is not None)
        assert alarm.seconds == ([] if pause is None else [pytest.approx(pause)])


async def test_a_busy_socket_is_looked_at_until_nothing_came_for_a_while(
    alarm: FakeAlarm, mock_clock: trio.testing.MockClock
) -> None:
    with Pace() as each:
        rests = [await rest_after(mock_clock, each, gap=0.0009, took=0.0001) for _ in range(3)]
        rests += [await rest_after(mock_clock, each, gap=0.0009, took=0.0, found=False) for _ in range(4)]
    assert rests == [False, True, True, True, True, False, False]


async def test_without_a_fine_timer_nothing_rests(
    monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(pace, "_alarm", lambda: None)
    with Pace() as each:
        for _ in range(3):
            assert not await rest_after(mock_clock, each, gap=0.0005, took=0.0001)


@pytest.mark.net
async def test_the_alarm_goes_off_when_it_was_set_to() -> None:
    udp = pytest.importorskip("trio_server._udp")
    alarm = udp.Alarm()
    began = trio.current_time()
    alarm.set(0.0003)
    await trio.lowlevel.wait_readable(alarm.fileno())
    assert trio.current_time() - began >= 0.0003
    with pytest.raises(ValueError, match="negative"):
        alarm.set(-1.0)
    alarm.close()
    assert alarm.fileno() == -1
    with pytest.raises(ValueError, match="closed"):
        alarm.set(1.0)
