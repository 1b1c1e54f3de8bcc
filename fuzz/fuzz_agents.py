"""Agents, fed with workers' frames, rooms' events and time: nothing raises, a bystander keeps its job, every job ends once.

One worker has a job and is left in peace. The fuzzer speaks for three others and for the people of two rooms.
"""

from __future__ import annotations

from choices import Choices
from harness import main

from sansio import AgentsConfig, Config, HttpRequest, SeededEntropy, SessionId
from sansio.agents import Agents
from sansio.auth import Claims, VideoGrant, mint
from sansio.events import JobEnded, ParticipantJoined, ParticipantLeft, RoomFinished, TrackPublished
from sansio.ids import NodeId
from sansio.outputs import Close, Send
from sansio.wallclock import WallClock
from sansio.wire import agent, agent_dispatch, models

KEY, SECRET = "key", "a secret that is long enough to be one"
WALL = 1_700_000_000.0
BYSTANDER = SessionId(1)
OTHERS = tuple(map(SessionId, range(2, 5)))
PEOPLE = ("ann", "bob", "it")
STATUSES = tuple(agent.JobStatus.values())
FIELDS = [field.name for field in agent.WorkerMessage.DESCRIPTOR.fields]
TOKEN = mint(Claims(issuer=KEY, video=VideoGrant(agent=True), expires_at=WALL + 1e6), SECRET, wallclock=WALL)


class Play:
    """One run: the agents of a node, a clock, and what the fuzzer may do."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        config = Config(keys={KEY: SECRET}, agents=AgentsConfig(max_offers=4))
        self.agents = Agents(config, SeededEntropy(7), WallClock(WALL), NodeId("ND_x"), self)
        self.jobs: list[str] = ["AJ_unknown"]
        self.owners: dict[str, int] = {}
        self.ended: set[str] = set()
        self.rooms: dict[str, str] = {}
        self.sids = 0
        self.connect(BYSTANDER, agent_name="quiet")
        self.start_room("quiet", "quiet")
        self.say(BYSTANDER, availability=agent.AvailabilityResponse(job_id=self.jobs[-1], available=True))
        self.quiet_job = self.jobs[-1]

    def room_info(self, room: str) -> models.Room | None:
        return models.Room(name=room) if self.choices.flag() else None

    def participant_info(self, room: str, identity: str) -> models.ParticipantInfo | None:
        return models.ParticipantInfo(identity=identity) if self.choices.flag() else None

    def drain(self) -> None:
        for command in self.agents.poll_commands():
            if isinstance(command, Close):
                assert command.session != BYSTANDER
            elif isinstance(command, Send) and isinstance(command.frame, bytes):
                self.hear(command.session, agent.ServerMessage.FromString(command.frame))
        for event in self.agents.poll_events():
            if isinstance(event, JobEnded):
                assert event.job not in self.ended
                self.ended.add(event.job)
        self.agents.poll_removals()

    def hear(self, session: int, message: agent.ServerMessage) -> None:
        if message.HasField("availability"):
            self.jobs.append(message.availability.job.id)
        elif message.HasField("assignment"):
            assert self.owners.setdefault(message.assignment.job.id, session) == session

    def connect(self, session: SessionId, agent_name: str = "") -> None:
        query = {"access_token": TOKEN}
        self.agents.handle_connect(self.now, session, HttpRequest(method="GET", path="/agent", query=query))
        self.say(session, register=agent.RegisterWorkerRequest(type=self.choices.number(3) if not agent_name else 0,  # type: ignore[arg-type]
                                                               agent_name=agent_name))  # fmt: skip

    def say(self, session: SessionId, **message: object) -> None:
        frame = agent.WorkerMessage(**message).SerializeToString()  # type: ignore[arg-type]
        self.agents.handle_message(self.now, session, frame)
        self.drain()

    def start_room(self, name: str, agent_name: str = "") -> None:
        self.sids += 1
        self.rooms[name] = f"RM_{self.sids}"
        wanted = [agent_dispatch.RoomAgentDispatch(agent_name=agent_name)] if agent_name else []
        self.agents.room_started(self.now, self.rooms[name], name, wanted)
        self.drain()

    # What the fuzzer may do

    def step(self) -> None:
        actions = (
            self.frame, self.answer, self.answer, self.job_status, self.update, self.migrate, self.lose, self.reconnect,
            self.room, self.join, self.leave, self.publish, self.wait,
        )  # fmt: skip
        self.choices.pick(actions)()
        self.drain()

    def frame(self) -> None:
        block = self.choices.block(60)
        if self.choices.flag():
            inner = self.choices.pick(FIELDS).encode()
            self.agents.handle_message(self.now, self.choices.pick(OTHERS), f'{{"{inner.decode()}": {block!r}}}')
        else:
            self.agents.handle_message(self.now, self.choices.pick(OTHERS), block)

    def answer(self) -> None:
        self.say(
            self.choices.pick(OTHERS),
            availability=agent.AvailabilityResponse(
                job_id=self.choices.pick(self.jobs),
                available=self.choices.flag(),
                terminate=self.choices.number(8) == 0,
                participant_identity=self.choices.pick(("", *PEOPLE)),
            ),
        )

    def job_status(self) -> None:
        update = agent.UpdateJobStatus(job_id=self.choices.pick(self.jobs), status=self.choices.pick(STATUSES))  # type: ignore[arg-type]
        self.say(self.choices.pick(OTHERS), update_job=update)

    def update(self) -> None:
        update = agent.UpdateWorkerStatus(load=self.choices.number(256) / 128 - 0.5, status=self.choices.number(3))  # type: ignore[arg-type]
        self.say(self.choices.pick(OTHERS), update_worker=update)

    def migrate(self) -> None:
        ids = [self.choices.pick(self.jobs) for _ in range(self.choices.number(4))]
        self.say(self.choices.pick(OTHERS), migrate_job=agent.MigrateJobRequest(job_ids=ids))

    def lose(self) -> None:
        self.agents.handle_disconnect(self.now, self.choices.pick(OTHERS))

    def reconnect(self) -> None:
        session = self.choices.pick(OTHERS)
        self.agents.handle_disconnect(self.now, session)
        self.connect(session)

    def room(self) -> None:
        name = self.choices.pick(("one", "two"))
        if name in self.rooms:
            self.agents.handle_event(self.now, RoomFinished(room=name, sid=self.rooms.pop(name), reason="deleted"))
        else:
            self.start_room(name)

    def join(self) -> None:
        identity = self.choices.pick(PEOPLE)
        self.agents.handle_event(
            self.now,
            ParticipantJoined(
                room=self.choices.pick(("one", "two")),
                identity=identity,
                sid=f"PA_{identity}{self.choices.number(2)}",
                kind="agent" if identity == "it" else "standard",
                client="",
                is_dependent=identity == "it",
            ),
        )

    def leave(self) -> None:
        identity = self.choices.pick(PEOPLE)
        reason = self.choices.pick(
            ("CLIENT_INITIATED", "CONNECTION_TIMEOUT", "PARTICIPANT_REMOVED", "DUPLICATE_IDENTITY")
        )
        event = ParticipantLeft(
            room=self.choices.pick(("one", "two")),
            identity=identity,
            sid=f"PA_{identity}{self.choices.number(2)}",
            reason=reason,
            was_active=True,
        )
        self.agents.handle_event(self.now, event)

    def publish(self) -> None:
        room, identity = self.choices.pick(("one", "two")), self.choices.pick(PEOPLE)
        event = TrackPublished(room=room, identity=identity, track="TR_x", kind="audio", mime_type="audio/opus")
        self.agents.handle_event(self.now, event)

    def wait(self) -> None:
        until = self.now + self.choices.number(256) / 8
        while (at := self.agents.poll_timeout()) is not None and at <= until:
            self.now = max(self.now, at)
            self.agents.handle_timeout(self.now)
            self.drain()
        self.now = until

    def finish(self) -> None:
        """End what there is: but for the bystander's, no job is left."""
        assert self.quiet_job not in self.ended
        for name in [name for name in self.rooms if name != "quiet"]:
            self.agents.handle_event(self.now, RoomFinished(room=name, sid=self.rooms.pop(name), reason="deleted"))
        self.now += 1000
        for _ in range(1000):
            if self.agents.poll_timeout() is None:
                break
            self.agents.handle_timeout(self.now)
            self.now += 1000
        self.drain()
        assert self.agents.num_running == 1
        assert self.owners.keys() <= self.ended | {self.quiet_job}


def check(data: bytes) -> None:
    choices = Choices(data)
    play = Play(choices)
    for _ in range(200):
        if not choices:
            break
        play.step()
    play.finish()


if __name__ == "__main__":
    main(check)
