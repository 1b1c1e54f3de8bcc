"""The engine against a scripted core, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import structlog
import trio
import trio.testing
from fake_core import FakeCore

from sansio.errors import DropReason
from sansio.events import Dropped, Event, RoomStarted
from sansio.ids import SessionId
from sansio.outputs import Accept, Batch, Close, HttpRequest, Reject, Respond, Send
from trio_server.engine import HOUSEKEEPING_INTERVAL, TIMER_INTERVAL, Engine

REQUEST = HttpRequest(method="GET", path="/rtc")
LOCAL, REMOTE = ("127.0.0.1", 7882), ("127.0.0.1", 5000)


class FakeUdp:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.drops: dict[DropReason, int] = {}

    def send(self, batch: Batch) -> None:
        self.sent += [each.data for each in batch]

    def poll_drops(self) -> dict[DropReason, int]:
        drops, self.drops = self.drops, {}
        return drops


class FakeOutlet:
    def __init__(self, room: int = 100) -> None:
        self.got: list[object] = []
        self.room = room

    def accept(self, frames: Sequence[bytes | str]) -> None:
        self.got += ["accept", *frames]

    def reject(self, status: int, body: str) -> None:
        self.got.append((status, body))

    def send(self, frame: bytes | str) -> bool:
        self.room -= 1
        self.got.append(frame)
        return self.room >= 0

    def close(self, code: int, reason: str) -> None:
        self.got.append(("close", code))


class Rig:
    def __init__(self) -> None:
        self.core, self.udp = FakeCore(), FakeUdp()
        self.events: list[Event] = []
        self.engine = Engine(self.core, self.udp, self.events.append)


@pytest.fixture
def rig() -> Rig:
    return Rig()


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def test_what_a_batch_makes_leaves_before_the_next_input(rig: Rig) -> None:
    rig.engine.datagrams([(LOCAL, REMOTE, b"one"), (LOCAL, REMOTE, b"two")])
    assert rig.core.names() == ["datagrams"]
    assert rig.udp.sent == [b"one", b"two"]


async def test_the_core_hears_when_datagrams_arrived(rig: Rig) -> None:
    rig.engine.datagrams([(LOCAL, REMOTE, b"one"), (LOCAL, REMOTE, b"two")], [0.25, 0.125])
    assert rig.core.ages == pytest.approx([0.25, 0.125], abs=0.1)
    rig.engine.datagrams([(LOCAL, REMOTE, b"three")])
    assert len(rig.core.ages) == 2


async def test_events_are_reported(rig: Rig) -> None:
    event = RoomStarted(room="r", sid="RM_x")
    rig.core.events.append(event)
    rig.engine.flush()
    assert rig.events == [event]


async def test_a_session_from_upgrade_to_close(rig: Rig) -> None:
    outlet = FakeOutlet()
    session = rig.engine.connect(outlet, REQUEST)
    rig.engine.message(session, b"hello")
    rig.engine.message(session, b"leave")
    assert outlet.got == ["accept", b"join", b"hello", b"bye", ("close", 1000)]


async def test_no_disconnect_is_told_for_a_session_that_the_core_closed(rig: Rig) -> None:
    session = rig.engine.connect(FakeOutlet(), REQUEST)
    rig.engine.message(session, b"leave")
    rig.engine.message(session, b"more")
    rig.engine.disconnect(session)
    assert rig.core.names() == ["connect", "message"]


async def test_a_disconnect_is_told_once(rig: Rig) -> None:
    session = rig.engine.connect(FakeOutlet(), REQUEST)
    rig.engine.disconnect(session)
    rig.engine.over(session)
    assert rig.core.names() == ["connect", "disconnect"]


async def test_a_refusal_ends_the_session(rig: Rig) -> None:
    outlet = FakeOutlet()
    session = rig.engine.connect(outlet, HttpRequest(method="GET", path="/rtc", query={"access_token": "bad"}))
    rig.engine.disconnect(session)
    assert outlet.got == [(401, "invalid token")]
    assert rig.core.names() == ["connect"]


async def test_sessions_have_numbers_of_their_own(rig: Rig) -> None:
    assert len({rig.engine.connect(FakeOutlet(), REQUEST) for _ in range(3)}) == 3


async def test_a_full_outbox_ends_its_session_and_no_other(rig: Rig) -> None:
    slow, quick = FakeOutlet(room=1), FakeOutlet()
    first, second = rig.engine.connect(slow, REQUEST), rig.engine.connect(quick, REQUEST)
    rig.engine.message(first, b"one")
    rig.engine.message(first, b"two")
    rig.engine.message(second, b"still here")
    assert slow.got[-1] == ("close", 1008)
    assert ("disconnect", first) in rig.core.fed
    assert quick.got[-1] == b"still here"
    assert rig.events == [Dropped(reason=DropReason.OUTBOX_FULL, count=1)]


async def test_commands_for_sessions_that_are_gone_are_left_aside(rig: Rig) -> None:
    gone = SessionId(99)
    rig.core.commands += [Accept(session=gone), Send(gone, b"x"), Close(session=gone), Reject(session=gone, status=400),
                          Respond(ref=99, status=200)]  # fmt: skip
    rig.engine.flush()
    assert rig.core.commands == []


async def test_a_request_gets_its_own_answer(rig: Rig) -> None:
    answers: dict[str, bytes] = {}

    async def ask(path: str) -> None:
        answers[path] = (await rig.engine.request(HttpRequest(method="GET", path=path))).body

    async with trio.open_nursery() as nursery:
        for path in ("/a", "/b", "/c"):
            nursery.start_soon(ask, path)
    assert answers == {"/a": b"GET /a", "/b": b"GET /b", "/c": b"GET /c"}


async def test_a_late_answer_is_waited_for(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    rig.core.silent_paths.add("/slow")

    async def answer() -> None:
        await trio.sleep(3)
        rig.core.commands.append(Respond(ref=1, status=200, body=b"late"))
        rig.engine.flush()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert (await rig.engine.request(HttpRequest(method="GET", path="/slow"))).body == b"late"


async def test_an_answer_to_nobody_is_left_aside(rig: Rig) -> None:
    rig.core.silent_paths.add("/slow")
    with trio.move_on_after(0):
        await rig.engine.request(HttpRequest(method="GET", path="/slow"))
    rig.core.commands.append(Respond(ref=1, status=200))
    rig.engine.flush()
    assert rig.core.commands == []


async def test_the_core_is_woken_at_its_deadline(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    start = trio.current_time()
    rig.core.deadline = start + 2.5
    async with running(rig.engine):
        await trio.sleep(3)
    assert [at - start for at in rig.core.timeouts] == [pytest.approx(2.5)]


async def test_a_deadline_that_moves_closer_is_kept(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    start = trio.current_time()
    rig.core.deadline = start + 100
    async with running(rig.engine):
        await trio.sleep(1)
        rig.core.deadline = start + 1.5
        rig.engine.datagrams([(LOCAL, REMOTE, b"x")])
        await trio.sleep(1)
    assert [at - start for at in rig.core.timeouts] == [pytest.approx(1.5)]


async def test_a_deadline_that_moves_away_is_not_served_early(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    start = trio.current_time()
    rig.core.deadline = start + 1
    async with running(rig.engine):
        rig.core.deadline = start + 4
        rig.engine.datagrams([(LOCAL, REMOTE, b"x")])
        await trio.sleep(5)
    assert [at - start for at in rig.core.timeouts] == [pytest.approx(4)]


async def test_a_deadline_in_the_past_does_not_starve_others(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    class Stuck(FakeCore):
        def handle_timeout(self, now: float) -> None:
            self.timeouts.append(now)

    core = Stuck()
    core.deadline = trio.current_time() - 1
    async with running(Engine(core, rig.udp, rig.events.append)):
        await trio.sleep(0.05)
    assert 1 <= len(core.timeouts) <= 11
    gaps = [after - before for before, after in pairwise(core.timeouts)]
    assert min(gaps) >= TIMER_INTERVAL * 0.999


async def test_a_deadline_that_has_come_is_served_with_datagrams(
    rig: Rig, autojump_clock: trio.testing.MockClock
) -> None:
    start = rig.core.deadline = trio.current_time()
    rig.engine.flush()
    for _ in range(2):  # the second comes too soon after the first
        rig.engine.datagrams([(LOCAL, REMOTE, b"x")])
        rig.core.deadline = start
    rig.engine.flush()
    assert rig.core.timeouts == [start]
    autojump_clock.jump(TIMER_INTERVAL)
    rig.engine.datagrams([(LOCAL, REMOTE, b"x")])
    assert rig.core.timeouts == [start, pytest.approx(start + TIMER_INTERVAL)]


async def test_drops_and_wall_clock_are_looked_after(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    rig.udp.drops = {DropReason.SOCKET_FULL: 7}
    async with running(rig.engine):
        await trio.sleep(HOUSEKEEPING_INTERVAL + 1)
    assert rig.events == [Dropped(reason=DropReason.SOCKET_FULL, count=7)]
    assert rig.core.names() == ["wallclock"]


async def test_a_core_that_fails_is_logged_and_goes_on(rig: Rig) -> None:
    session = rig.engine.connect(FakeOutlet(), REQUEST)
    rig.core.fail = {"message"}
    with structlog.testing.capture_logs() as lines:
        rig.engine.message(session, b"boom")
        rig.engine.message(session, b"boom")
    rig.core.fail = set()
    rig.engine.datagrams([(LOCAL, REMOTE, b"on")])
    assert [line["verb"] for line in lines] == ["handle_message"]
    assert rig.udp.sent == [b"on"]


async def test_a_core_that_fails_at_an_upgrade_answers_500(rig: Rig) -> None:
    rig.core.fail = {"connect", "request"}
    outlet = FakeOutlet()
    with structlog.testing.capture_logs():
        rig.engine.connect(outlet, REQUEST)
        answer = await rig.engine.request(REQUEST)
    assert outlet.got == [(500, "internal error")]
    assert answer.status == 500


async def test_waiting_for_the_last_session(rig: Rig, autojump_clock: trio.testing.MockClock) -> None:
    first, second = (rig.engine.connect(FakeOutlet(), REQUEST) for _ in range(2))

    async def end() -> None:
        await trio.sleep(1)
        rig.engine.over(first)
        await trio.sleep(1)
        rig.engine.over(second)

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        await rig.engine.wait_all_over()
        assert trio.current_time() - start == pytest.approx(2)
    await rig.engine.wait_all_over()
