"""Workers of LiveKit's agents framework as their users run them: programs of their own, started and ended by a test."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from livekit import rtc

from .conftest import absent
from .people import Person
from .server import Server
from .waiting import DEADLINE, eventually

HERE = Path(__file__).parent
REGISTERING_SECONDS = 60.0
"""Importing the framework alone takes several on a small machine."""
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class Worker:
    """A worker's process, and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading = asyncio.ensure_future(self._read())
        self.text = ""

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.text += line.decode(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def registers(self, times: int = 1) -> None:
        """Hold that it is registered, for the first time or once more."""

        def is_there() -> bool:
            assert self._process.returncode is None, self.text
            return self.text.count("registered worker") >= times

        await eventually(is_there, f"a worker registers: {self.text}", within=REGISTERING_SECONDS)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it is gone."""
        self.send(number)
        try:
            await asyncio.wait_for(self._process.wait(), DEADLINE)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()
        with suppress(TimeoutError):  # a job's process may hold the pipe open
            await asyncio.wait_for(self._reading, 1)


@asynccontextmanager
async def working(
    server: Server, program: Path = HERE / "agent_worker.py", *, url: str = "", **options: Any
) -> AsyncIterator[Worker]:
    """A registered worker until the end of the block. `options` are for the program to read."""
    if importlib.util.find_spec("livekit.agents") is None:
        absent("needs livekit-agents 1.0 or newer: pip install livekit-agents")
    environment = {**os.environ, **server.environment, "WORKER_OPTIONS": json.dumps(options)}
    if url:
        environment["LIVEKIT_URL"] = url
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), "start", env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )  # fmt: skip
    worker = Worker(process)
    try:
        await worker.registers()
        yield worker
    finally:
        await worker.end()


def agents(person: Person) -> list[rtc.RemoteParticipant]:
    """The agents that somebody sees."""
    return [each for each in person.room.remote_participants.values() if each.kind == AGENT]
