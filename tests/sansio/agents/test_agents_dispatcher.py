"""Who gets a job: offers, refusals, time-outs, waiting (services 1.6 to 1.8)."""

from __future__ import annotations

from typing import Any

import pytest
from agents_rig import AgentsRig, JobStatus, Reason, WorkerEnd, WorkerStatus

from sansio.config import AgentsConfig
from sansio.errors import DropReason
from sansio.events import AnswerRefused, JobAssigned, JobEnded, OfferMissed
from sansio.wire import agent, agent_dispatch


def two_workers() -> tuple[AgentsRig, WorkerEnd, WorkerEnd]:
    """A room whose job is offered to the first of two workers; the second may become either."""
    rig = AgentsRig()
    ends = [rig.worker(), rig.worker()]
    rig.room()
    rig.join("user")
    first = next(end for end in ends if end.offers)
    second = next(end for end in ends if end is not first)
    return rig, first, second


def test_a_room_that_begins_is_offered_to_one_worker_at_once() -> None:
    rig, first, second = two_workers()
    (job,) = first.offers
    assert not second.offers
    assert job.id.startswith("AJ_")
    assert (job.room.name, job.room.metadata, job.type) == ("room", "of the room", agent.JobType.JT_ROOM)
    assert not job.HasField("participant")
    assert job.state.status == JobStatus.JS_RUNNING
    assert job.state.worker_id == first.id
    assert job.state.started_at == job.state.updated_at == 1_700_000_000 * 10**9
    assert rig.now == 0.0


def test_who_accepts_gets_the_job() -> None:
    rig, first, second = two_workers()
    rig.now = 0.5
    first.answer(first.offers[0], participant_identity="me", participant_name="Me")
    (assignment,) = first.assignments
    assert assignment.job.id == first.offers[0].id
    assert assignment.job.state.participant_identity == "me"
    assert not assignment.HasField("url")
    assert not second.offers
    (event,) = rig.of(JobAssigned)
    assert (event.job, event.worker, event.after_ms) == (assignment.job.id, first.id, 500)
    (job,) = rig.jobs()
    assert (job.state.status, job.state.worker_id) == (JobStatus.JS_RUNNING, first.id)


@pytest.mark.parametrize("how", ["refusal", "time-out", "lost socket", "protocol broken"])
def test_the_next_worker_is_asked_without_delay(how: str) -> None:
    rig, first, second = two_workers()
    match how:
        case "refusal":
            first.refuse(first.offers[0])
        case "time-out":
            rig.run(9.99)
            assert not second.offers
            rig.run(0.01)
        case "lost socket":
            first.drop()
        case _:
            first.say(register=agent.RegisterWorkerRequest())
            assert first.closed is not None
    (job,) = second.offers
    assert job.id == first.offers[0].id
    assert [event.worker for event in rig.of(OfferMissed)] == [first.id]
    second.answer(job)
    assert second.jobs == [job.id]


def test_an_offer_that_ran_out_is_withdrawn_and_a_late_yes_refused() -> None:
    rig, first, second = two_workers()
    (job,) = first.offers
    rig.run(10)
    assert first.terminated == [job.id]
    assert second.offers
    first.answer(job)
    assert first.assignments == []
    assert first.terminated == [job.id] * 2
    (refused,) = rig.of(AnswerRefused)
    assert (refused.job, refused.worker, refused.reason) == (job.id, first.id, "the offer was withdrawn before")
    assert rig.drops() == {DropReason.JOB_LATE: 1}
    second.answer(job)
    assert second.jobs == [job.id]


def test_a_late_no_is_counted_only() -> None:
    rig, first, second = two_workers()
    (job,) = first.offers
    rig.run(10)
    first.refuse(job)
    assert rig.of(AnswerRefused) == []
    assert rig.drops() == {DropReason.JOB_LATE: 1}
    assert len(second.offers) == 1


def test_a_refusal_for_all_ends_the_job() -> None:
    rig, first, second = two_workers()
    first.refuse(first.offers[0], for_all=True)
    assert not second.offers
    (job,) = rig.jobs()
    assert (job.state.status, job.state.error) == (JobStatus.JS_SUCCESS, "refused for all workers")
    rig.run(100)
    assert not second.offers
    assert not rig.worker().offers


def test_the_answer_of_another_worker_changes_nothing() -> None:
    rig, first, second = two_workers()
    second.answer(first.offers[0])
    assert not second.assignments
    assert rig.drops() == {DropReason.JOB_UNKNOWN: 1}
    first.answer(first.offers[0])
    assert len(first.assignments) == 1


def test_a_second_answer_changes_nothing() -> None:
    rig, first, _ = two_workers()
    first.answer(first.offers[0])
    first.answer(first.offers[0])
    first.refuse(first.offers[0])
    assert len(first.assignments) == 1
    (job,) = rig.jobs()
    assert job.state.status == JobStatus.JS_RUNNING


# Waiting


def test_a_job_waits_for_the_first_worker_that_registers() -> None:
    """The wait can be seen meanwhile."""
    rig = AgentsRig()
    rig.room()
    rig.join("user")
    rig.run(30)
    (job,) = rig.jobs()
    assert (job.state.status, job.state.reason) == (JobStatus.JS_PENDING, Reason.JSR_NO_CAPACITY)
    late = rig.worker(accepts=True)
    assert late.jobs == [job.id]
    (job,) = rig.jobs()
    assert (job.state.status, job.state.reason) == (JobStatus.JS_RUNNING, Reason.JSR_UNSPECIFIED)


def test_a_job_that_nobody_takes_ends_at_its_deadline() -> None:
    rig = AgentsRig(config=AgentsConfig(pending_timeout=5))
    rig.room()
    rig.join("user")
    rig.run(5)
    (job,) = rig.jobs()
    assert (job.state.status, job.state.reason) == (JobStatus.JS_FAILED, Reason.JSR_NO_CAPACITY)
    assert job.state.error == "no worker was there for the job"
    assert job.state.ended_at == 1_700_000_005 * 10**9
    assert not rig.worker().offers
    ended = rig.of(JobEnded)
    assert {event.was_offered for event in ended} == {False}
    assert rig.agents.poll_timeout() is None


def test_an_offer_that_is_open_at_the_deadline_may_still_be_taken() -> None:
    rig = AgentsRig(config=AgentsConfig(pending_timeout=5))
    worker = rig.worker()
    rig.room()
    rig.run(7)
    worker.answer(worker.offers[0])
    assert len(worker.assignments) == 1


def test_one_that_is_refused_after_the_deadline_ends() -> None:
    rig = AgentsRig(config=AgentsConfig(pending_timeout=5))
    worker = rig.worker()
    rig.room()
    rig.run(7)
    worker.refuse(worker.offers[0])
    (job,) = rig.jobs()
    assert (job.state.status, job.state.error) == (JobStatus.JS_FAILED, "no worker took the job")


def test_a_job_that_all_refused_waits_for_another_and_asks_nobody_twice() -> None:
    rig, first, second = two_workers()
    first.refuse(first.offers[0])
    second.refuse(second.offers[0])
    rig.run(30)
    for end in (first, second):
        end.update(0.1)
        assert len(end.offers) == 1
    third = rig.worker(accepts=True)
    assert third.jobs == [first.offers[0].id]


def test_a_worker_that_has_room_again_is_asked_again() -> None:
    rig = AgentsRig()
    worker = rig.worker()
    rig.room()
    worker.refuse(worker.offers[0])
    worker.update(0.9, WorkerStatus.WS_FULL)
    rig.run(10)
    assert len(worker.offers) == 1
    worker.update(0.2)
    assert len(worker.offers) == 2


def test_full_workers_are_not_asked() -> None:
    rig = AgentsRig()
    full, free = rig.worker(), rig.worker(accepts=True)
    full.update(0.95, WorkerStatus.WS_FULL)
    for number in range(20):
        rig.room(f"room {number}")
    assert not full.offers
    assert len(free.jobs) == 20


def test_a_loaded_worker_that_is_willing_is_asked_if_there_is_no_other() -> None:
    """Nothing starves because the only worker is a busy laptop."""
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    worker.update(1.0)
    rig.room()
    assert len(worker.jobs) == 1


def test_an_update_without_status_keeps_the_status() -> None:
    rig = AgentsRig()
    worker = rig.worker()
    worker.update(0.9, WorkerStatus.WS_FULL)
    worker.say(update_worker=agent.UpdateWorkerStatus(load=0.1))
    rig.room()
    assert not worker.offers


def test_a_worker_that_let_an_offer_run_out_is_the_last_resort_until_it_answers() -> None:
    rig = AgentsRig(config=AgentsConfig(offer_timeout=1))
    silent = rig.worker()
    rig.room("first")
    rig.run(1)
    good = rig.worker(accepts=True)
    for number in range(40):
        rig.room(f"room {number}")
    assert len(silent.offers) == 1
    assert len(good.jobs) == 41
    good.drop()
    rig.room("another")
    silent.answer(silent.offers[-1])
    again = rig.worker()
    for number in range(40):
        rig.room(f"more {number}")
    assert len(silent.offers) > 10
    assert len(again.offers) > 10


def test_a_worker_has_so_many_offers_open_at_most() -> None:
    """10,000 jobs for one worker that says nothing: others are not held up, and all jobs end."""
    rig = AgentsRig(config=AgentsConfig(max_offers=50, pending_timeout=30))
    silent = rig.worker()
    for number in range(10_000):
        rig.room(f"room {number}")
    assert len(silent.offers) == 50
    good = rig.worker(accepts=True)
    assert len(good.jobs) == 9_950
    rig.run(10)
    assert len(good.jobs) == 10_000
    assert sorted(set(silent.terminated)) == sorted(job.id for job in silent.offers)


def test_waiting_jobs_are_offered_in_their_order() -> None:
    rig = AgentsRig(config=AgentsConfig(max_offers=2))
    for name in "abcd":
        rig.room(name)
    worker = rig.worker()
    assert [job.room.name for job in worker.offers] == ["a", "b"]
    worker.answer(worker.offers[0])
    assert [job.room.name for job in worker.offers] == ["a", "b", "c"]
    worker.refuse(worker.offers[1])
    assert [job.room.name for job in worker.offers] == ["a", "b", "c", "d"]


# Pools


@pytest.mark.parametrize(
    ("wanted", "worker", "matches"),
    [
        pytest.param({}, {}, True, id="nameless"),
        pytest.param({"agent_name": "a"}, {"agent_name": "a"}, True, id="named"),
        pytest.param({"agent_name": "a"}, {}, False, id="named, for a nameless worker"),
        pytest.param({}, {"agent_name": "a"}, False, id="nameless, for a named worker"),
        pytest.param({"deployment": "x"}, {"deployment": "x"}, True, id="deployment"),
        pytest.param({"deployment": "x"}, {}, False, id="deployment, for a worker of none"),
        pytest.param({}, {"namespace": "n"}, False, id="namespace"),
        pytest.param({}, {"type": agent.JobType.JT_PUBLISHER}, False, id="publisher's worker"),
    ],
)
def test_a_job_is_for_workers_that_match_in_all(wanted: dict[str, Any], worker: dict[str, Any], matches: bool) -> None:
    rig = AgentsRig()
    end = rig.worker(**worker)
    rig.room("room", agent_dispatch.RoomAgentDispatch(**wanted))
    assert bool(end.offers) == matches


def test_workers_with_more_room_get_more_jobs() -> None:
    rig = AgentsRig()
    ends = [rig.worker(accepts=True, load=load) for load in (0.0, 0.5)]
    for number in range(900):
        rig.room(f"room {number}")
    idle, busy = (len(end.jobs) for end in ends)
    assert 1.6 < idle / busy < 2.5


def test_pools_are_forgotten_with_their_last_worker_and_job() -> None:
    rig = AgentsRig(config=AgentsConfig(pending_timeout=5))
    end = rig.worker(agent_name="x")
    rig.room()
    assert {key.agent_name for key, _, _ in rig.agents.pools()} == {"x", ""}
    end.drop()
    rig.run(5)
    assert list(rig.agents.pools()) == []
