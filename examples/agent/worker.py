"""A worker on LiveKit's agents framework. Its agents greet whoever comes and answer what is written to them.

    python examples/agent/worker.py start

LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET say which server it works for. With AGENT_NAME set, its agents come only
where they are asked for by that name; without, to every room.
"""

import asyncio
import os

from livekit import rtc
from livekit.agents import (
    AgentServer,
    AutoSubscribe,
    JobContext,
    JobProcess,
    JobRequest,
    WorkerOptions,
    WorkerPermissions,
    WorkerType,
    cli,
)

CHAT = "lk.chat"
MOST_JOBS = 20
answers: set[asyncio.Task[None]] = set()


def prewarm(process: JobProcess) -> None:
    """Runs once in each process, before its job comes. What takes long to load belongs here."""
    process.userdata["greeting"] = "Hello"


async def request(job: JobRequest) -> None:
    """A job is offered: take it and say who the agent will be, or refuse it."""
    if job.room.name.startswith("private-"):
        await job.reject(terminate=True)  # no agent of anyone; terminate=False would have the next worker asked
    else:
        await job.accept(identity=f"greeter-{job.id}", name="Greeter", attributes={"language": "en"})


async def entrypoint(context: JobContext) -> None:
    """The job: one agent in one room. It lasts until the room ends, or until it calls `context.shutdown()`."""
    greeting = context.job.metadata or context.proc.userdata["greeting"]

    async def greet(_: JobContext, person: rtc.RemoteParticipant) -> None:
        await context.room.local_participant.send_text(
            f"{greeting}, {person.identity}!", topic=CHAT, destination_identities=[person.identity]
        )

    async def answer(reader: rtc.TextStreamReader, sender: str) -> None:
        text = await reader.read_all()
        await context.room.local_participant.send_text(
            f"You wrote: {text}", topic=CHAT, destination_identities=[sender]
        )

    def on_text(reader: rtc.TextStreamReader, sender: str) -> None:
        task = asyncio.ensure_future(answer(reader, sender))
        answers.add(task)
        task.add_done_callback(answers.discard)

    context.room.register_text_stream_handler(CHAT, on_text)
    context.add_participant_entrypoint(greet)  # for users who are there already, too
    await context.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE)


def load(server: AgentServer) -> float:
    """How busy the worker is, from 0 to 1: the less, the more jobs it is offered."""
    return min(1.0, len(server.active_jobs) / MOST_JOBS)


if __name__ == "__main__":
    cli.run_app(
        WorkerOptions(
            entrypoint_fnc=entrypoint,
            request_fnc=request,
            prewarm_fnc=prewarm,
            load_fnc=load,
            load_threshold=0.9,
            permissions=WorkerPermissions(can_publish=True, can_subscribe=True, can_publish_data=True, hidden=False),
            worker_type=WorkerType.ROOM,
            agent_name=os.environ.get("AGENT_NAME", ""),
            port=0,
        )
    )
