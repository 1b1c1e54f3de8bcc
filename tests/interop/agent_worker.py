"""A worker on LiveKit's agents framework. Prints its id as JSON once the server has registered it, and runs until ended."""

from __future__ import annotations

import asyncio
import json

from livekit.agents import JobContext, JobExecutorType, WorkerOptions
from livekit.agents.worker import AgentServer


async def entrypoint(context: JobContext) -> None:
    await context.connect()


async def main() -> None:
    options = WorkerOptions(
        entrypoint_fnc=entrypoint,
        job_executor_type=JobExecutorType.THREAD,
        num_idle_processes=0,
        load_fnc=lambda: 0.0,
        host="127.0.0.1",
        port=0,
    )
    server = AgentServer.from_server_options(options)

    def registered(worker_id: str, info: object) -> None:
        print(
            json.dumps({"step": "registered", "id": worker_id, "protocol": getattr(info, "agent_protocol", 0)}),
            flush=True,
        )

    server.on("worker_registered", registered)
    await server.run(devmode=True)


asyncio.run(main())
