"""What makes jobs, what they carry, what lists show, and the tokens of agents (services 1.6, 1.8 to 1.10)."""

from __future__ import annotations

from typing import Any

import pytest
from agents_rig import (
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    SECRET,
    WALL,
    AgentsRig,
    JobStatus,
    JobType,
    Reason,
)

from sansio.auth import Claims, verify
from sansio.config import AgentsConfig
from sansio.errors import Refusal
from sansio.events import JobEnded
from sansio.wire import agent, agent_dispatch, models

ROOM, PUBLISHER, PARTICIPANT = JobType.JT_ROOM, JobType.JT_PUBLISHER, JobType.JT_PARTICIPANT
Wanted = agent_dispatch.RoomAgentDispatch


# Triggers


def test_a_participant_s_worker_gets_a_job_for_everybody_who_joins() -> None:
    rig = AgentsRig()
    worker = rig.worker(type=PARTICIPANT)
    rig.room()
    assert not worker.offers
    for identity in ("ann", "bob"):
        rig.join(identity)
    assert [job.participant.identity for job in worker.offers] == ["ann", "bob"]
    assert worker.offers[0].type == PARTICIPANT
    assert worker.offers[0].participant.metadata == "of somebody"
    rig.join("ann")
    assert [job.participant.identity for job in worker.offers] == ["ann", "bob", "ann"]


def test_a_publisher_s_worker_gets_a_job_for_each_first_track() -> None:
    rig = AgentsRig()
    worker = rig.worker(type=PUBLISHER)
    rig.room()
    rig.join("ann")
    assert not worker.offers
    rig.publish("ann")
    rig.publish("ann")
    assert [job.participant.identity for job in worker.offers] == ["ann"]
    rig.leave("ann")
    rig.join("ann")
    rig.publish("ann")
    assert len(worker.offers) == 2


@pytest.mark.parametrize("kind", ["agent", "egress"])
def test_dependents_trigger_nothing(kind: str) -> None:
    rig = AgentsRig()
    workers = [rig.worker(type=job_type) for job_type in (PUBLISHER, PARTICIPANT)]
    rig.room()
    rig.join("it", kind=kind)
    rig.publish("it")
    assert not any(worker.offers for worker in workers)


def test_a_dispatch_on_a_room_in_use_wants_the_jobs_of_those_who_are_there() -> None:
    rig = AgentsRig()
    workers = {job_type: rig.worker(agent_name="helper", type=job_type) for job_type in (ROOM, PUBLISHER, PARTICIPANT)}
    rig.room()
    for identity in ("ann", "bob"):
        rig.join(identity)
    rig.publish("ann")
    assert not any(worker.offers for worker in workers.values())
    made = rig.dispatch(agent_name="helper", metadata="m", attributes={"a": "1"})
    asked = {job_type: [job.participant.identity for job in worker.offers] for job_type, worker in workers.items()}
    assert asked == {ROOM: [""], PUBLISHER: ["ann"], PARTICIPANT: ["ann", "bob"]}
    (job,) = workers[ROOM].offers
    assert (job.metadata, dict(job.attributes), job.agent_name, job.dispatch_id) == ("m", {"a": "1"}, "helper", made.id)


def test_each_dispatch_of_a_room_has_its_own_job() -> None:
    rig = AgentsRig()
    worker = rig.worker(agent_name="helper")
    rig.room("room", Wanted(agent_name="helper", metadata="1"), Wanted(agent_name="helper", metadata="2"))
    assert [job.metadata for job in worker.offers] == ["1", "2"]


def test_naming_agents_leaves_the_nameless_one_out() -> None:
    rig = AgentsRig()
    automatic, named = rig.worker(), rig.worker(agent_name="helper")
    rig.room("one", Wanted(agent_name="helper"))
    assert (len(automatic.offers), len(named.offers)) == (0, 1)
    rig.room("two", Wanted(agent_name="helper"), Wanted())
    assert (len(automatic.offers), len(named.offers)) == (1, 2)


def test_a_job_for_somebody_who_left_is_called_off() -> None:
    rig = AgentsRig()
    rig.room()
    rig.join("ann")
    waiting = rig.worker(type=PARTICIPANT)
    assert waiting.offers
    rig.leave("ann")
    assert waiting.terminated == [waiting.offers[0].id]
    (event,) = [event for event in rig.of(JobEnded) if event.was_offered]
    assert event.error == "its participant left"
    rig.join("bob")
    rig.leave("bob")
    assert not rig.worker(type=PARTICIPANT).offers


# Lists


def test_a_list_shows_jobs_that_somebody_could_do() -> None:
    """One worker of one type: jobs of other types would wait for nobody."""
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("ann")
    rig.publish("ann")
    assert [job.id for job in rig.jobs()] == worker.jobs
    rig.worker(type=PUBLISHER, accepts=True)
    assert [job.type for job in rig.jobs()] == [ROOM, PUBLISHER]


def test_a_room_job_is_not_listed_where_only_publishers_are_served() -> None:
    rig = AgentsRig()
    rig.worker(type=PUBLISHER)
    rig.room()
    assert rig.jobs() == []
    rig.run(100)
    assert rig.jobs() == []


def test_a_listed_job_names_its_room_and_participant() -> None:
    rig = AgentsRig()
    rig.worker(type=PUBLISHER)
    sid = rig.room()
    rig.join("ann")
    rig.publish("ann")
    (job,) = rig.jobs()
    assert (job.room.name, job.room.sid, job.participant.identity) == ("room", sid, "ann")
    assert job.state.status == JobStatus.JS_PENDING


def test_lists_are_bounded() -> None:
    rig = AgentsRig(config=AgentsConfig(pending_timeout=1))
    rig.worker(type=PARTICIPANT)
    rig.room()
    dispatch = rig.dispatch()
    for number in range(300):
        rig.join(f"user {number}")
    rig.run(30)
    for number in range(300):
        rig.leave(f"user {number}")
    rig.join("one more")
    assert len(rig.jobs(dispatch_id=dispatch.id)) <= 102


def test_a_dispatch_is_asked_for_by_its_id() -> None:
    rig = AgentsRig()
    sid = rig.room()
    made = [rig.dispatch(agent_name=name) for name in ("one", "two")]
    assert [found.id for found in rig.agents.list_dispatches(sid, made[1].id)] == [made[1].id]
    assert [found.agent_name for found in rig.agents.list_dispatches(sid)] == ["", "one", "two"]
    assert rig.agents.list_dispatches("RM_unknown") == []


def test_what_is_not_there_is_not_found() -> None:
    rig = AgentsRig()
    sid = rig.room()
    with pytest.raises(Refusal, match="dispatch ID not found"):
        rig.agents.delete_dispatch(0.0, sid, "AD_unknown")
    with pytest.raises(Refusal, match="requested room does not exist"):
        rig.agents.delete_dispatch(0.0, "RM_unknown", "AD_unknown")
    with pytest.raises(Refusal, match="requested room does not exist"):
        rig.agents.create_dispatch(0.0, "RM_unknown", Wanted())


def test_recording_and_redaction_are_told_to_workers() -> None:
    rig = AgentsRig(config=AgentsConfig(enable_user_data_recording=True, enable_user_data_redaction=True))
    worker = rig.worker()
    rig.room()
    assert worker.offers[0].enable_recording
    assert worker.offers[0].enable_redaction


# Tokens


def claims_of(rig: AgentsRig, answer: dict[str, Any], key: str = KEY, **registration: Any) -> Claims:
    worker = rig.worker(key=key, **registration)
    if registration.get("agent_name"):
        rig.dispatch(agent_name=registration["agent_name"])
    worker.answer(worker.offers[0], **answer)
    return verify(worker.assignments[0].token, {KEY: SECRET, OTHER_KEY: OTHER_SECRET}, WALL + rig.now)


def test_the_token_of_an_agent() -> None:
    """1.8."""
    rig = AgentsRig()
    rig.room()
    claims = claims_of(
        rig,
        {
            "participant_identity": "me",
            "participant_name": "Me",
            "participant_metadata": "m",
            "participant_attributes": {"x": "1", "lk.agent.name": "n"},
        },
        agent_name="helper",
    )
    assert (claims.issuer, claims.identity, claims.name, claims.metadata, claims.kind) == (
        KEY,
        "me",
        "Me",
        "m",
        "agent",
    )
    assert claims.attributes == {"x": "1", "lk.agent.name": "n", "lk.agent_name": "helper"}
    assert claims.expires_at == WALL + 3600
    video = claims.video
    assert video is not None
    assert (video.room_join, video.room, video.agent, video.hidden) == (True, "room", True, False)
    assert (video.can_publish, video.can_subscribe, video.can_publish_data) == (True, True, True)
    assert (video.can_update_own_metadata, video.can_subscribe_metrics) == (True, False)


def test_the_permissions_of_a_worker_are_its_agents() -> None:
    rig = AgentsRig()
    rig.room()
    allowed = models.ParticipantPermission(
        can_subscribe=True, hidden=True, can_subscribe_metrics=True, can_publish_sources=[models.TrackSource.CAMERA]
    )
    video = claims_of(rig, {}, allowed_permissions=allowed).video
    assert video is not None
    assert (video.can_publish, video.can_subscribe, video.can_publish_data) == (False, True, False)
    assert (video.hidden, video.can_subscribe_metrics, video.can_publish_sources) == (True, True, ("camera",))


def test_the_token_is_signed_with_the_worker_s_own_key() -> None:
    rig = AgentsRig()
    rig.room()
    assert claims_of(rig, {}, key=OTHER_KEY).issuer == OTHER_KEY


def test_an_agent_without_a_name_is_named_after_its_job() -> None:
    rig = AgentsRig()
    rig.room()
    claims = claims_of(rig, {})
    (job,) = rig.jobs()
    assert claims.identity == job.state.participant_identity == f"agent-{job.id}"
    assert claims.attributes == {"lk.agent_name": ""}


# Simulated jobs


def test_a_worker_may_make_a_job_for_itself() -> None:
    rig = AgentsRig()
    worker, other = rig.worker(), rig.worker()
    worker.say(simulate_job=agent.SimulateJobRequest(room=models.Room(name="elsewhere", sid="RM_1")))
    (job,) = worker.offers
    assert (job.room.name, job.room.sid, job.type, job.dispatch_id) == ("elsewhere", "RM_1", ROOM, "")
    worker.answer(job)
    assert worker.jobs == [job.id]
    worker.report(job.id, JobStatus.JS_SUCCESS)
    who = models.ParticipantInfo(identity="ann")
    worker.say(simulate_job=agent.SimulateJobRequest(room=models.Room(name="elsewhere"), participant=who))
    assert (worker.offers[1].type, worker.offers[1].participant.identity) == (PUBLISHER, "ann")
    worker.refuse(worker.offers[1])
    assert not other.offers
    ended = {event.job: event.status for event in rig.of(JobEnded)}
    assert ended == {worker.offers[0].id: "JS_SUCCESS", worker.offers[1].id: "JS_FAILED"}
    assert rig.agents.poll_timeout() is None


def test_a_simulated_job_that_is_not_answered_ends() -> None:
    rig = AgentsRig()
    worker = rig.worker()
    worker.say(simulate_job=agent.SimulateJobRequest(room=models.Room(name="elsewhere")))
    rig.run(10)
    (event,) = rig.of(JobEnded)
    assert (event.status, event.error) == ("JS_FAILED", "no worker took the job")
    assert worker.terminated == [worker.offers[0].id]


def test_jobs_of_one_room_do_not_end_with_another() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    for name in ("one", "two"):
        rig.room(name)
        rig.join("user", name)
        rig.join_agent(worker, name)
    rig.end_room("one")
    assert worker.terminated == [worker.jobs[0]]
    rig.run(100)
    (job,) = rig.jobs("two")
    assert (job.state.status, job.state.reason) == (JobStatus.JS_RUNNING, Reason.JSR_UNSPECIFIED)
