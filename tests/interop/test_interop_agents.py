"""Workers of LiveKit's agents framework get jobs by each way of dispatch, and no job is lost by what befalls a worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import api, rtc
from livekit.protocol.agent import JobStateReason, JobStatus

from .people import Person, joined, tone
from .relay import Relay
from .server import KEY, SECRET, Server, new_room
from .waiting import DEADLINE, eventually, scenario, stays_false
from .workers import AGENT, Worker, agents, working

pytestmark = pytest.mark.interop
PENDING, RUNNING = JobStatus.JS_PENDING, JobStatus.JS_RUNNING
SUCCESS, FAILED = JobStatus.JS_SUCCESS, JobStatus.JS_FAILED
MOVING_SECONDS = 30.0
"""For the room to notice that an agent was killed, and for another to come."""
ASKED = "received job request"
BURST = 8


class Room:
    """A room, as the server API shows it."""

    def __init__(self, called: api.LiveKitAPI, name: str) -> None:
        self.name = name
        self.called = called

    async def jobs(self, *wanted: int, within: float = DEADLINE) -> list[Any]:
        """The states of its jobs, oldest first, once they are as wanted."""
        found: list[Any] = []
        async with asyncio.timeout(within):
            while [state.status for state in found] != list(wanted):
                await asyncio.sleep(0.05)
                dispatches = await self.called.agent_dispatch.list_dispatch(self.name)
                found = [job.state for each in dispatches for job in each.state.jobs]
        return found


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(server.http, KEY, SECRET) as called:
        yield called


@asynccontextmanager
async def wanting(server: Server, name: str, metadata: str = "") -> AsyncIterator[tuple[Person, Room]]:
    """A user in a room whose token asks for an agent."""
    room = new_room()
    wish = api.RoomAgentDispatch(agent_name=name, metadata=metadata)
    async with calling(server) as called, joined(server, "alice", room, agents=[wish]) as alice:
        yield alice, Room(called, room)


async def comes(person: Person, tag: str, *, within: float = DEADLINE) -> rtc.RemoteParticipant:
    """The agent of the worker with that tag, once it is at work."""

    def at_work() -> rtc.RemoteParticipant | None:
        found = (each for each in agents(person) if each.attributes.get("tag") == tag and "job" in each.attributes)
        return next(found, None)

    return await eventually(at_work, f"an agent of {tag} comes", within=within)


async def goes(person: Person, agent: rtc.RemoteParticipant) -> None:
    await eventually(lambda: person.sees(agent.identity) is None, f"{agent.identity} goes")


def ended(server: Server) -> str:
    """What the log says of jobs that ended."""
    return "\n".join(line for line in server.log.splitlines() if "job ended" in line)


# Ways of dispatch


@scenario
async def test_a_room_gets_an_agent_which_answers_and_goes_with_the_room(server: Server) -> None:
    async with working(server, tag="first") as worker, calling(server) as called:
        room = Room(called, new_room())
        async with joined(server, "alice", room.name) as alice:
            agent = await comes(alice, "first")
            assert (agent.kind, agent.name, agent.attributes["lk.agent_name"]) == (AGENT, "Agent", "")
            await alice.me.publish_data(b"hello", topic="ask", reliable=True)
            await eventually(lambda: [each.data for each in alice.messages("answer")] == [b"HELLO"], "it answers")
            [state] = await room.jobs(RUNNING)
            assert state.participant_identity == agent.identity
            assert state.worker_id in worker.text
        await called.room.delete_room(api.DeleteRoomRequest(room=room.name))  # it would end by itself in 20 s
        await eventually(lambda: agent.attributes["job"] in ended(server), "its job ends")


@scenario
async def test_a_named_agent_comes_when_asked_for_in_each_way(server: Server) -> None:
    async with working(server, name="clerk", tag="clerk"), calling(server) as called:
        room = new_room()
        async with joined(server, "alice", room) as alice:
            await stays_false(lambda: agents(alice), "it does not come unasked")
            made = await called.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(agent_name="clerk", room=room, metadata="by call")
            )
            agent = await comes(alice, "clerk")
            assert agent.attributes["metadata"] == "by call"
            listed = await called.agent_dispatch.get_dispatch(made.id, room)
            assert listed
            assert [job.id for job in listed.state.jobs] == [agent.attributes["job"]]
            await called.agent_dispatch.delete_dispatch(made.id, room)
            await goes(alice, agent)
            assert await called.agent_dispatch.get_dispatch(made.id, room) is None

        async with wanting(server, "clerk", "by token") as (alice, _):
            assert (await comes(alice, "clerk")).attributes["metadata"] == "by token"

        room = new_room()
        wish = api.RoomAgentDispatch(agent_name="clerk", metadata="by room")
        await called.room.create_room(api.CreateRoomRequest(name=room, agents=[wish]))
        async with joined(server, "alice", room) as alice:
            assert (await comes(alice, "clerk")).attributes["metadata"] == "by room"

        room = new_room()
        await called.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name="clerk", room=room, metadata="before the room")
        )
        async with joined(server, "alice", room) as alice:
            assert (await comes(alice, "clerk")).attributes["metadata"] == "before the room"


@scenario
async def test_a_publishers_worker_gets_a_job_for_who_publishes(server: Server) -> None:
    async with working(server, name="ear", tag="ear", type="publisher"), wanting(server, "ear") as (alice, _):
        await stays_false(lambda: agents(alice), "nobody publishes yet")
        async with tone(alice):
            assert (await comes(alice, "ear")).attributes["about"] == "alice"


@scenario
async def test_hidden_agents_work_unseen(server: Server) -> None:
    async with working(server, name="ghost", tag="ghost", hidden=True), wanting(server, "ghost") as (alice, room):
        [state] = await room.jobs(RUNNING)
        async with asyncio.timeout(DEADLINE):
            while not alice.messages("answer"):  # until it listens
                await alice.me.publish_data(b"boo", topic="ask", reliable=True)
                await asyncio.sleep(0.2)
        assert alice.messages("answer")[0].data == b"BOO"
        assert alice.room.remote_participants == {}
        there = api.RoomParticipantIdentity(room=room.name, identity=state.participant_identity)
        assert (await room.called.room.get_participant(there)).permission.hidden


@scenario
async def test_rooms_that_begin_at_once_all_get_an_agent_of_one_worker(server: Server) -> None:
    """It takes a few jobs at a time, and refuses others while those start."""
    async with working(server, name="busy", tag="busy", processes=True) as worker:

        async def met() -> None:
            async with wanting(server, "busy") as (alice, _):
                await comes(alice, "busy")

        await asyncio.gather(*(met() for _ in range(BURST)))
        assert worker.text.count(ASKED) == BURST


# What befalls workers


@scenario
async def test_a_job_waits_for_a_worker_that_takes_it(server: Server) -> None:
    async with wanting(server, "d") as (alice, room):
        [state] = await room.jobs(PENDING)
        assert state.reason == JobStateReason.JSR_NO_CAPACITY
        async with working(server, name="d", refuse="for me") as idle, working(server, name="d", load=0.95) as full:
            await eventually(lambda: ASKED in idle.text, "the one that refuses is asked")
            await room.jobs(PENDING)
            async with working(server, name="d", tag="keen"):
                await comes(alice, "keen")
            assert ASKED not in full.text


@scenario
async def test_a_refusal_for_all_ends_the_job(server: Server) -> None:
    async with working(server, name="picky", refuse="for all"), wanting(server, "picky") as (alice, room):
        [state] = await room.jobs(SUCCESS)
        assert "refused" in state.error
        assert agents(alice) == []


@scenario
async def test_a_job_outlives_its_workers_socket(server: Server) -> None:
    async with (
        Relay(server) as relay,
        working(server, url=relay.url, name="e", tag="steady") as worker,
        wanting(server, "e") as (alice, room),
    ):
        agent = await comes(alice, "steady")
        [before] = await room.jobs(RUNNING)
        assert relay.cut("/agent") == 1
        await worker.registers(times=2)
        async with asyncio.timeout(DEADLINE):  # until the worker names its jobs
            while (after := (await room.jobs(RUNNING))[0]).worker_id == before.worker_id:
                await asyncio.sleep(0.05)
        assert after.participant_identity == before.participant_identity
        await stays_false(lambda: alice.events("participant_disconnected"), "the agent stays")
        [dispatch] = await room.called.agent_dispatch.list_dispatch(room.name)
        await room.called.agent_dispatch.delete_dispatch(dispatch.id, room.name)
        await goes(alice, agent)


@scenario
async def test_jobs_of_workers_that_die_or_freeze_go_to_others(server: Server) -> None:
    """All at the same time, since each takes as long as it takes to notice."""
    await asyncio.gather(_killed(server), _killed_agent(server), _frozen(server))


async def _killed(server: Server) -> None:
    """The worker and its agent are killed."""
    async with (
        working(server, name="a", tag="killed", processes=True) as worker,
        wanting(server, "a", "important") as (alice, room),
    ):
        agent = await comes(alice, "killed")
        assert agent.attributes["pid"] != str(worker.pid)
        async with working(server, name="a", tag="spare"):
            os.kill(int(agent.attributes["pid"]), signal.SIGKILL)
            await worker.end(signal.SIGKILL)
            successor = await comes(alice, "spare", within=MOVING_SECONDS)
            assert successor.attributes["metadata"] == "important"
            assert alice.sees(agent.identity) is None
            [lost, found] = await room.jobs(FAILED, RUNNING)
            assert (lost.participant_identity, found.participant_identity) == (agent.identity, successor.identity)


async def _killed_agent(server: Server) -> None:
    """The agent alone is killed, and its worker says so."""
    async with working(server, name="b", tag="lives", processes=True), wanting(server, "b") as (alice, room):
        agent = await comes(alice, "lives")
        os.kill(int(agent.attributes["pid"]), signal.SIGKILL)
        await goes(alice, agent)
        assert (await comes(alice, "lives", within=MOVING_SECONDS)).identity != agent.identity
        await room.jobs(FAILED, RUNNING)


async def _frozen(server: Server) -> None:
    """The worker does not answer: another is asked, and this one refused when it comes back to it."""
    async with (
        working(server, name="c", tag="frozen") as worker,
        freezing(worker),
        wanting(server, "c") as (alice, room),
        working(server, name="c", tag="awake"),
    ):
        await comes(alice, "awake", within=MOVING_SECONDS)
        worker.send(signal.SIGCONT)
        await eventually(lambda: ASKED in worker.text, "it wakes")
        await stays_false(lambda: len(agents(alice)) > 1, "one agent is enough", seconds=1.0)
        await room.jobs(RUNNING)


@asynccontextmanager
async def freezing(worker: Worker) -> AsyncIterator[None]:
    """Frozen, at the end of the block at the latest awake again."""
    worker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.send(signal.SIGCONT)
