"""Agents in a whole node: from a join to the agent in the room, and to the end of both."""

from __future__ import annotations

from typing import Any

import pytest
from node_rig import ROOM, Client, DisconnectReason, Rig, configured, token

from sansio import AgentPreset, RoomConfig, RoomPreset, SessionId
from sansio.events import JobAssigned, JobEnded
from sansio.outputs import Send
from sansio.wire import agent, models, rtc


class WorkerEnd:
    """A registered worker on the rig's node."""

    def __init__(self, rig: Rig, **registration: Any) -> None:
        self.rig = rig
        self.session: SessionId = rig.connect_worker(token("worker", agent=True))
        self.say(register=agent.RegisterWorkerRequest(**registration))

    def say(self, **message: Any) -> None:
        self.rig.node.handle_message(self.rig.now, self.session, agent.WorkerMessage(**message).SerializeToString())
        self.rig.settle()

    def heard(self, kind: str) -> list[Any]:
        sent = [command for command in self.rig.worker(self.session) if isinstance(command, Send)]
        messages = [agent.ServerMessage.FromString(bytes(each.frame)) for each in sent if isinstance(each.frame, bytes)]
        return [getattr(message, kind) for message in messages if message.WhichOneof("message") == kind]

    @property
    def offers(self) -> list[agent.Job]:
        return [offer.job for offer in self.heard("availability")]

    def accept(self, at: int = -1, **answer: Any) -> agent.JobAssignment:
        job_id = self.offers[at].id
        self.say(availability=agent.AvailabilityResponse(job_id=job_id, available=True, **answer))
        assignment: agent.JobAssignment = self.heard("assignment")[-1]
        return assignment

    def send_agent(self, assignment: agent.JobAssignment, *, media: bool = False) -> Client:
        """The agent joins with the token of its job."""
        identity = assignment.job.state.participant_identity
        return self.rig.join(identity, assignment.job.room.name, jwt=assignment.token, media=media)


def called(rig: Rig | None = None, **registration: Any) -> tuple[Rig, WorkerEnd, Client, Client]:
    """A user, and the agent that came for it."""
    rig = rig or Rig()
    worker = WorkerEnd(rig, **registration)
    user = rig.join("user", media=True)
    rig.run(1)
    helper = worker.send_agent(worker.accept(participant_name="Helper"), media=True)
    return rig, worker, user, helper


def test_a_join_brings_an_offer_with_no_time_passing() -> None:
    rig = Rig()
    worker = WorkerEnd(rig)
    rig.join("user")
    (job,) = worker.offers
    assert rig.now == 0.0
    assert (job.room.name, job.room.sid[:3], job.room.num_participants) == (ROOM, "RM_", 1)
    assignment = worker.accept()
    (event,) = rig.event(JobAssigned)
    assert (event.job, event.room, event.after_ms) == (assignment.job.id, ROOM, 0)


def test_an_agent_is_seen_at_once_even_if_it_is_silent() -> None:
    rig, worker, user, helper = called()
    (info,) = user.infos_of(helper.identity)[-1:]
    assert (info.kind, info.name, info.permission.agent) == (models.ParticipantInfo.Kind.AGENT, "Helper", True)
    assert info.attributes == {"lk.agent_name": ""}
    assert rig.now == 1.0
    assert worker.heard("termination") == []


def test_a_hidden_agent_is_not_seen() -> None:
    hidden = models.ParticipantPermission(can_subscribe=True, can_publish_data=True, hidden=True)
    rig, _, user, helper = called(allowed_permissions=hidden)
    rig.run(3)
    assert user.infos_of(helper.identity) == []
    assert [info.identity for info in helper.view.values() if info.identity != helper.identity] == ["user"]


def test_agents_do_not_keep_a_room_open() -> None:
    rig, worker, user, helper = called()
    rig.run(1)
    user.send(leave=rtc.LeaveRequest())
    rig.run(19)
    assert rig.rooms() == [ROOM]
    rig.run(2)
    assert rig.rooms() == []
    assert helper.last("leave").reason == DisconnectReason.ROOM_CLOSED
    assert [end.job_id for end in worker.heard("termination")] == [worker.offers[0].id]
    worker.say(update_job=agent.UpdateJobStatus(job_id=worker.offers[0].id, status=agent.JobStatus.JS_SUCCESS))
    (event,) = [event for event in rig.event(JobEnded) if event.was_offered]
    assert event.status == "JS_SUCCESS"


def test_an_agent_whose_job_is_over_is_taken_out_of_the_room() -> None:
    """The worker says that it failed, while its agent still sits there."""
    rig, worker, user, helper = called()
    worker.say(update_job=agent.UpdateJobStatus(job_id=worker.offers[0].id, status=agent.JobStatus.JS_FAILED))
    rig.run(3.1)
    assert helper.last("leave").reason == DisconnectReason.PARTICIPANT_REMOVED
    assert user.infos_of(helper.identity)[-1].state == models.ParticipantInfo.State.DISCONNECTED
    rig.run(1)
    assert len(worker.offers) == 2
    again = worker.send_agent(worker.accept(), media=True)
    assert user.infos_of(again.identity)[-1].kind == models.ParticipantInfo.Kind.AGENT


def test_a_publisher_brings_its_job_with_what_it_publishes() -> None:
    rig = Rig()
    worker = WorkerEnd(rig, type=agent.JobType.JT_PUBLISHER)
    user = rig.join("user", media=True)
    rig.run(1)
    assert worker.offers == []
    user.publish("mic")
    rig.run(1)
    user.media.published["mic"].send(3)
    rig.run(1)
    (job,) = worker.offers
    assert (job.participant.identity, job.participant.sid) == ("user", user.sid)
    assert len(job.participant.tracks) == 1


@pytest.mark.parametrize("how", ["preset", "token", "token beside a preset"])
def test_a_room_asks_for_the_agents_that_it_is_made_with(how: str) -> None:
    presets = {"helped": RoomPreset(agents=(AgentPreset(agent_name="helper", metadata="of preset"),))}
    rig = Rig(configured(room=RoomConfig(room_configurations=presets)))
    automatic, named = WorkerEnd(rig), WorkerEnd(rig, agent_name="helper")
    of_token = {"agents": [{"agentName": "helper", "metadata": "of token"}]}
    match how:
        case "preset":
            rig.join("user", room_preset="helped")
        case "token":
            rig.join("user", room_config=of_token)
        case _:
            rig.join("user", room_preset="helped", room_config=of_token)
    assert automatic.offers == []
    (job,) = named.offers
    assert job.metadata == ("of preset" if how == "preset" else "of token")


def test_the_end_of_the_server_closes_workers_after_everybody_has_left() -> None:
    rig, worker, user, _ = called()
    rig.node.close(rig.now)
    rig.settle()
    assert user.last("leave").reason == DisconnectReason.SERVER_SHUTDOWN
    assert type(rig.worker(worker.session)[-1]).__name__ == "Close"
