"""A worker on LiveKit's agents framework, as told by WORKER_OPTIONS: a JSON object.

`name` is the agent's; `tag` tells workers apart; `type` is "room" or "publisher"; `refuse` is "for me" or "for all"; `load` is
from 0 to 1; `hidden` says that its agents are; `processes` gives each job one of its own, else it is a thread of the worker.

An agent says in its attributes who it is, and answers what it is sent on the topic "ask".
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from livekit import rtc
from livekit.agents import JobContext, JobExecutorType, JobRequest, WorkerOptions, WorkerPermissions, WorkerType, cli

TOLD: dict[str, Any] = json.loads(os.environ.get("WORKER_OPTIONS", "{}"))
tasks: set[asyncio.Task[None]] = set()


async def entrypoint(context: JobContext) -> None:
    await context.connect()
    me = context.room.local_participant

    def on_data(packet: rtc.DataPacket) -> None:
        if packet.topic == "ask":
            tasks.add(asyncio.ensure_future(me.publish_data(packet.data.upper(), topic="answer")))

    context.room.on("data_received", on_data)
    about = context.job.participant.identity
    await me.set_attributes(
        {"job": context.job.id, "pid": str(os.getpid()), "metadata": context.job.metadata, "about": about}
    )


async def request(asked: JobRequest) -> None:
    refuse = TOLD.get("refuse")
    if refuse:
        await asked.reject(terminate=refuse == "for all")
    else:
        await asked.accept(name="Agent", identity=f"agent-{asked.id}", attributes={"tag": TOLD.get("tag", "")})


if __name__ == "__main__":
    cli.run_app(
        WorkerOptions(
            entrypoint_fnc=entrypoint,
            request_fnc=request,
            load_fnc=lambda: TOLD.get("load", 0.0),
            load_threshold=0.7,
            permissions=WorkerPermissions(hidden=TOLD.get("hidden", False)),
            worker_type=WorkerType.PUBLISHER if TOLD.get("type") == "publisher" else WorkerType.ROOM,
            agent_name=TOLD.get("name", ""),
            job_executor_type=JobExecutorType.PROCESS if TOLD.get("processes") else JobExecutorType.THREAD,
            num_idle_processes=1,
            shutdown_process_timeout=2,
            drain_timeout=1,
            host="127.0.0.1",
            port=0,
        )
    )
