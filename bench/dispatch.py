"""How fast agents get their jobs.

    python bench/dispatch.py [--workers 200] [--joins 300] [--agents 20] [--quick]

Three tables. The dispatcher alone: decisions a second in one process, by the number of workers in one pool; a decision is one
job placed, offered, accepted and ended, without frames. Join to assignment: milliseconds from a client's upgrade request to the
assignment in a raw worker's hands, over loopback, with so many workers registered; the client and the workers live in this
process, and their own time is in the figure. Join to agent: a livekit-agents worker with warm processes, and whose time it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import trio
from livekit import api, rtc
from livekit.protocol import agent
from livekit.protocol import rtc as wire
from process import KEY, SECRET, ServerProcess
from trio_websocket import ConnectionClosed, WebSocketConnection, connect_websocket_url

from sansio import AgentsConfig
from sansio.agents.dispatcher import Dispatcher
from sansio.agents.job import Job, Wanted
from sansio.agents.orders import Acceptance
from sansio.agents.pool import PoolKey, Worker

LEAVE = wire.SignalRequest(leave=wire.LeaveRequest()).SerializeToString()
WARM_UP = 10


def token(**grants: bool | str) -> str:
    made = api.AccessToken(KEY, SECRET).with_identity("user").with_ttl(timedelta(minutes=30))
    return made.with_grants(api.VideoGrants(**grants)).to_jwt()  # type: ignore[arg-type]


# The dispatcher alone


def decisions_per_second(workers: int, decisions: int) -> tuple[float, float]:
    """Of one pool: (jobs placed and offered a second, the same with their acceptance and end)."""
    dispatcher = Dispatcher(AgentsConfig(), os.urandom)
    key = PoolKey("", "", 0, "")
    for number in range(workers):
        worker = Worker(f"AW_{number}", key)
        dispatcher.add_worker(0.0, worker)
        dispatcher.update_worker(0.0, worker, status=0, load=number % 70 / 100)
    wanted = Wanted(room_sid="RM_x", room="room", key=key)
    acceptance = Acceptance("agent")
    offering = accepting = 0.0
    for start in range(0, decisions, 1000):
        jobs = [Job(0.0, f"AJ_{number}", wanted) for number in range(start, start + 1000)]
        begun = time.perf_counter()
        for job in jobs:
            dispatcher.place(0.0, job)
        offering += time.perf_counter() - begun
        begun = time.perf_counter()
        for job in jobs:
            assert job.worker is not None
            dispatcher.handle_answer(0.0, job.worker, job.id, acceptance)
            job.detach()
        accepting += time.perf_counter() - begun
        dispatcher.poll_orders()
    return decisions / offering, decisions / (offering + accepting)


# Join to assignment


class RawWorker:
    """Takes every job, and says when it has it."""

    def __init__(self, socket: WebSocketConnection, assigned: trio.MemorySendChannel[float]) -> None:
        self._socket = socket
        self._assigned = assigned

    async def register(self) -> None:
        await self._socket.send_message(agent.WorkerMessage(register=agent.RegisterWorkerRequest()).SerializeToString())
        await self._socket.get_message()

    async def run(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = agent.ServerMessage.FromString(await self._socket.get_message())
                if message.HasField("availability"):
                    job_id = message.availability.job.id
                    answer = agent.AvailabilityResponse(job_id=job_id, available=True, participant_identity="agent")
                    await self._socket.send_message(agent.WorkerMessage(availability=answer).SerializeToString())
                elif message.HasField("assignment"):
                    await self._assigned.send(time.perf_counter())


async def measure_assignments(server: ServerProcess, workers: int, joins: int) -> list[float]:
    """Milliseconds of each."""
    took = []
    send, receive = trio.open_memory_channel[float](10)
    async with trio.open_nursery() as nursery:
        for _ in range(workers):
            socket = await connect_websocket_url(nursery, f"{server.url}/agent?access_token={token(agent=True)}")
            worker = RawWorker(socket, send)
            await worker.register()
            nursery.start_soon(worker.run)
        for number in range(joins + WARM_UP):
            query = f"protocol=17&sdk=go&access_token={token(room_join=True, room=f'room{number}')}"
            begun = time.perf_counter()
            socket = await connect_websocket_url(nursery, f"{server.url}/rtc?{query}")
            took.append((await receive.receive() - begun) * 1e3)
            await socket.send_message(LEAVE)
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return took[WARM_UP:]


# Join to agent

WORKER = """
import time
from livekit.agents import JobContext, WorkerOptions, cli

async def entrypoint(ctx: JobContext) -> None:
    started = time.time()
    await ctx.connect()
    await ctx.room.local_participant.set_attributes({"started": repr(started), "connected": repr(time.time())})

if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint, load_fnc=lambda: 0.1, num_idle_processes=2, port=0))
"""


class LiveKitWorker:
    """A livekit-agents worker in a process of its own; use as a context manager."""

    def __init__(self, server: ServerProcess) -> None:
        self._file = tempfile.NamedTemporaryFile("w", suffix=".py")  # noqa: SIM115 - lives as long as the worker
        self._file.write(WORKER)
        self._file.flush()
        self._log = tempfile.NamedTemporaryFile()  # noqa: SIM115
        environment = os.environ | {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
        command = [sys.executable, self._file.name, "start"]
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env=environment, start_new_session=True
        )

    def __enter__(self) -> LiveKitWorker:
        for _ in range(600):
            if b"registered worker" in Path(self._log.name).read_bytes():
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"the worker did not register:\n{Path(self._log.name).read_text()}")
        time.sleep(3)  # idle processes warm up
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # it would wait for its jobs, and leave warm processes behind
        self._process.wait(10)


async def agent_times(server: ServerProcess, number: int) -> tuple[float, float, float]:
    """Milliseconds from a user's join, until the agent's code runs, until it is connected, until the user sees it."""
    room = rtc.Room()
    seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    room.on("participant_connected", lambda _: seen.done() or seen.set_result(time.time()))
    await room.connect(server.url, token(room_join=True, room=f"agent{number}"))
    joined = time.time()
    at = await asyncio.wait_for(seen, 20)
    (participant,) = room.remote_participants.values()
    while "connected" not in participant.attributes:
        await asyncio.sleep(0.01)
    started, connected = (float(participant.attributes[name]) for name in ("started", "connected"))
    await room.disconnect()
    await asyncio.sleep(1.5)  # the worker warms another process
    return (started - joined) * 1e3, (connected - joined) * 1e3, (at - joined) * 1e3


async def measure_agents(server: ServerProcess, count: int) -> list[tuple[float, float, float]]:
    return [await agent_times(server, number) for number in range(count)]


# Tables


def show_decisions(sizes: Sequence[int], decisions: int) -> None:
    print(f"{'workers in the pool':<28}{'offers/s':>12}{'with answers/s':>16}  target with 10,000: 50,000")
    for workers in sizes:
        offered, answered = decisions_per_second(workers, decisions)
        print(f"{workers:<28,}{offered:>12,.0f}{answered:>16,.0f}")


def show_assignments(workers: int, joins: int) -> None:
    with ServerProcess() as server:
        took = sorted(trio.run(measure_assignments, server, workers, joins))
    p99 = took[int(len(took) * 0.99)]
    print(f"\n{'join to assignment, ms':<28}{'median':>12}{'p99':>16}  targets: 5 and 15")
    print(f"{f'{workers} workers, {joins} joins':<28}{statistics.median(took):>12.1f}{p99:>16.1f}")


def show_agents(count: int) -> None:
    with ServerProcess() as server, LiveKitWorker(server):
        times = asyncio.run(measure_agents(server, count))
    started, connected, seen = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"\n{'join to agent, ms (median)':<44}{count} joins; target: 150")
    print(f"{'until the agent runs (dispatch, process)':<44}{started:>8.0f}")
    print(f"{'until it is connected (its own join)':<44}{connected:>8.0f}")
    print(f"{'until the user sees it':<44}{seen:>8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--workers", type=int, default=200, help="registered workers")
    parser.add_argument("--joins", type=int, default=300, help="joins until an assignment")
    parser.add_argument("--agents", type=int, default=20, help="joins until an agent")
    parser.add_argument("--quick", action="store_true", help="fewer of each, and no agents")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*key is .* bytes long")
    sizes = (10, 10_000) if arguments.quick else (10, 100, 1_000, 10_000, 100_000)
    show_decisions(sizes, 20_000 if arguments.quick else 200_000)
    show_assignments(arguments.workers, 50 if arguments.quick else arguments.joins)
    if not arguments.quick:
        show_agents(arguments.agents)


if __name__ == "__main__":
    main()
