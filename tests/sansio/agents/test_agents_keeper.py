"""From assignment to the one final state: agents come and go, workers too (services 1.9)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from agents_rig import OTHER_KEY, AgentsRig, JobStatus, Reason, WorkerEnd

from sansio.agents.job import TRANSITIONS, Job, Phase, Wanted
from sansio.agents.pool import PoolKey
from sansio.config import AgentsConfig
from sansio.errors import DropReason, LocalProtocolError
from sansio.events import JobEnded, JobRestarted
from sansio.wire import agent_dispatch

ON_FAILURE, NEVER = "JRP_ON_FAILURE", "JRP_NEVER"


def running(policy: str = ON_FAILURE, config: AgentsConfig | None = None) -> tuple[AgentsRig, WorkerEnd, str]:
    """A job whose agent is in the room with a user; its id."""
    rig = AgentsRig(config=config)
    worker = rig.worker(accepts=True)
    rig.room("room", agent_dispatch.RoomAgentDispatch(restart_policy=policy))
    rig.join("user")
    rig.join_agent(worker)
    return rig, worker, worker.jobs[0]


def final(rig: AgentsRig, job_id: str) -> tuple[int, str]:
    """The one end of a job."""
    (event,) = [event for event in rig.of(JobEnded) if event.job == job_id]
    return JobStatus.Value(event.status), event.error


def is_live(rig: AgentsRig, job_id: str) -> bool:
    return not any(event.job == job_id for event in rig.of(JobEnded))


@pytest.mark.parametrize(
    ("phase", "to"), [(phase, to) for phase in Phase for to in Phase], ids=lambda phase: phase.name.lower()
)
def test_a_job_takes_only_the_steps_that_there_are(phase: Phase, to: Phase) -> None:
    job = Job(0.0, "AJ_x", Wanted(room_sid="RM_x", room="room", key=PoolKey("", "", 0, "")))
    job.phase = phase
    if to in TRANSITIONS[phase]:
        job.move_to(to)
        assert job.phase is to
    else:
        with pytest.raises(LocalProtocolError):
            job.move_to(to)


def test_the_worker_tells_that_it_succeeded() -> None:
    rig, worker, job = running()
    worker.report(job, JobStatus.JS_RUNNING)
    assert is_live(rig, job)
    worker.report(job, JobStatus.JS_SUCCESS)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")
    (listed,) = rig.jobs()
    assert (listed.state.status, listed.state.ended_at) == (JobStatus.JS_SUCCESS, listed.state.updated_at)
    assert rig.agents.num_running == 0
    worker.report(job, JobStatus.JS_FAILED)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")
    assert rig.drops() == {}


def test_an_agent_that_leaves_ends_its_job_and_its_worker_is_told() -> None:
    rig, worker, job = running()
    rig.leave(f"agent-{job}")
    assert worker.terminated == [job]
    assert is_live(rig, job)
    rig.run(2)
    worker.report(job, JobStatus.JS_SUCCESS)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")


def test_a_worker_that_says_nothing_of_an_agent_that_left_ends_the_job_too() -> None:
    rig, worker, job = running()
    rig.leave(f"agent-{job}")
    rig.run(10)
    assert final(rig, job) == (JobStatus.JS_FAILED, "agent worker left the room")
    rig.run(100)
    assert len(worker.jobs) == 1


def test_an_agent_whose_connection_broke_may_come_back() -> None:
    rig, worker, job = running()
    rig.leave(f"agent-{job}", reason="CONNECTION_TIMEOUT")
    rig.run(10)
    assert worker.terminated == []
    rig.join_agent(worker)
    rig.run(60)
    assert is_live(rig, job)
    assert worker.terminated == []


def test_and_ends_if_it_does_not() -> None:
    rig, worker, job = running()
    rig.leave(f"agent-{job}", reason="CONNECTION_TIMEOUT")
    rig.run(15)
    assert worker.terminated == [job]
    rig.run(10)
    assert final(rig, job) == (JobStatus.JS_FAILED, "agent worker left the room")


def test_an_agent_that_joins_again_puts_out_its_earlier_self_only() -> None:
    rig, worker, job = running()
    rig.join_agent(worker)
    rig.run(60)
    assert is_live(rig, job)
    assert worker.terminated == []


# Lost jobs


def test_a_failed_job_whose_agent_has_left_is_given_out_again() -> None:
    rig, worker, job = running()
    rig.leave(f"agent-{job}")
    worker.report(job, JobStatus.JS_FAILED, "out of memory")
    (restarted,) = rig.of(JobRestarted)
    assert (restarted.replaces, restarted.restart, restarted.reason) == (job, 1, "out of memory")
    assert final(rig, job)[0] == JobStatus.JS_FAILED
    lost, again = rig.jobs()
    assert lost.state.error == f"out of memory; {again.id} takes its place"
    assert (again.state.status, again.state.reason) == (JobStatus.JS_PENDING, Reason.JSR_RETRYING)
    assert again.state.error == f"restart 1, in place of {job}"
    rig.run(0.24)
    assert worker.jobs == [job]
    rig.run(0.01)
    assert worker.jobs == [job, again.id]
    lost, again = rig.jobs()
    assert (again.state.status, again.state.reason, again.state.error) == (JobStatus.JS_RUNNING, 0, "")


def test_a_failed_job_whose_agent_is_still_there_has_it_removed_first() -> None:
    rig, worker, job = running()
    worker.report(job, JobStatus.JS_FAILED)
    rig.run(2.9)
    assert is_live(rig, job)
    assert not rig.removals
    rig.run(0.1)
    assert [removal.identity for removal in rig.removals] == [f"agent-{job}"]
    assert ("room", f"agent-{job}") not in rig.people
    rig.run(1)
    assert len(worker.jobs) == 2


def test_a_job_that_failed_before_its_agent_came_is_given_out_at_once() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    worker.report(worker.jobs[0], JobStatus.JS_FAILED)
    rig.run(0.25)
    assert len(worker.jobs) == 2


def test_a_dropped_socket_alone_loses_nothing() -> None:
    rig, worker, job = running()
    worker.drop()
    rig.worker(accepts=True)
    rig.run(1000)
    assert is_live(rig, job)
    assert rig.of(JobRestarted) == []


def test_a_worker_and_its_agent_that_are_gone_lose_the_job() -> None:
    rig, worker, job = running()
    worker.drop()
    other = rig.worker(accepts=True)
    rig.run(4)
    rig.leave(f"agent-{job}", reason="CONNECTION_TIMEOUT")
    rig.run(5.9)
    assert is_live(rig, job)
    rig.run(0.1)
    assert final(rig, job) == (JobStatus.JS_FAILED, "its agent and its worker are gone")
    rig.run(1)
    assert len(other.jobs) == 1


def test_the_agent_may_go_long_after_its_worker() -> None:
    rig, worker, job = running()
    worker.drop()
    other = rig.worker(accepts=True)
    rig.run(100)
    rig.leave(f"agent-{job}")
    rig.run(1)
    assert len(other.jobs) == 1


def test_an_agent_that_never_came_and_a_worker_that_is_gone_lose_the_job() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    worker.drop()
    other = rig.worker(accepts=True)
    rig.run(14.9)
    assert not other.jobs
    rig.run(0.5)
    assert len(other.jobs) == 1


def test_an_agent_that_takes_its_time_is_waited_for_while_its_worker_is_there() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    rig.run(200)
    assert is_live(rig, worker.jobs[0])
    rig.join_agent(worker)
    rig.run(10)
    assert is_live(rig, worker.jobs[0])


def test_an_agent_that_comes_after_its_job_was_lost_is_sent_away() -> None:
    """No two agents for one job."""
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    worker.drop()
    other = rig.worker(accepts=True)
    rig.run(16)
    rig.join_agent(other)
    rig.join_agent(worker)
    assert [removal.identity for removal in rig.removals] == [f"agent-{worker.jobs[0]}"]
    assert [identity for _, identity in rig.people] == ["user", f"agent-{other.jobs[0]}"]


def test_a_policy_of_never_ends_a_lost_job() -> None:
    rig, worker, job = running(NEVER)
    rig.leave(f"agent-{job}")
    worker.report(job, JobStatus.JS_FAILED)
    rig.run(100)
    assert final(rig, job)[0] == JobStatus.JS_FAILED
    assert worker.jobs == [job]


def test_an_agent_that_was_sent_away_does_not_come_back() -> None:
    """Somebody removed it through the API."""
    rig, worker, job = running()
    rig.leave(f"agent-{job}", reason="PARTICIPANT_REMOVED")
    assert worker.terminated == [job]
    worker.report(job, JobStatus.JS_FAILED)
    rig.run(100)
    assert worker.jobs == [job]


def test_nobody_is_left_to_restart_a_job_for() -> None:
    rig, worker, job = running()
    rig.leave("user")
    rig.leave(f"agent-{job}")
    worker.report(job, JobStatus.JS_FAILED)
    rig.run(100)
    assert worker.jobs == [job]
    assert final(rig, job)[0] == JobStatus.JS_FAILED


def test_nor_if_they_leave_during_the_pause() -> None:
    rig, worker, job = running()
    rig.leave(f"agent-{job}")
    worker.report(job, JobStatus.JS_FAILED)
    rig.leave("user")
    rig.run(100)
    assert worker.jobs == [job]
    again = rig.jobs()[1]
    assert (again.state.status, again.state.error) == (JobStatus.JS_FAILED, "nobody is left to do it for")


def test_restarts_are_bounded_and_pause_longer_each_time() -> None:
    rig, worker, _ = running(config=AgentsConfig(max_restarts=3, restart_delay=1.0))
    times = []
    for _ in range(4):
        times.append(rig.now)
        worker.report(worker.jobs[-1], JobStatus.JS_FAILED)
        while len(worker.jobs) < len(times) + 1 and rig.now < 100:
            rig.run(0.01)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == pytest.approx(
        [4.0, 2.0, 4.0], abs=0.02
    )  # the first agent was in the room, and is given 3 s to leave
    assert len(worker.jobs) == 4
    assert [event.restart for event in rig.of(JobRestarted)] == [1, 2, 3]


# Workers that come back


def test_a_worker_that_comes_back_has_its_jobs_again() -> None:
    rig, worker, job = running()
    worker.drop()
    rig.run(3)
    back = rig.worker()
    back.migrate(job)
    (listed,) = rig.jobs()
    assert listed.state.worker_id == back.id
    rig.run(20)
    rig.leave(f"agent-{job}")
    assert back.terminated == [job]
    back.report(job, JobStatus.JS_SUCCESS)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")


def test_a_worker_may_come_back_before_its_dead_socket_is_missed() -> None:
    rig, worker, job = running()
    back = rig.worker()
    back.migrate(job)
    assert back.terminated == []
    rig.run(60)
    worker.drop()
    rig.run(60)
    assert is_live(rig, job)
    assert rig.jobs()[0].state.worker_id == back.id
    back.report(job, JobStatus.JS_SUCCESS)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")


def test_a_claim_ends_with_its_socket() -> None:
    rig, worker, job = running()
    back = rig.worker()
    back.migrate(job)
    back.drop()
    worker.drop()
    rig.leave(f"agent-{job}")
    rig.run(10)
    assert final(rig, job) == (JobStatus.JS_FAILED, "its agent and its worker are gone")


def test_it_may_tell_the_end_without_naming_the_job_first() -> None:
    rig, worker, job = running()
    worker.drop()
    back = rig.worker()
    back.report(job, JobStatus.JS_SUCCESS)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")


def test_a_job_whose_agent_left_waits_for_the_worker_to_come_back() -> None:
    rig, worker, job = running()
    worker.drop()
    rig.leave(f"agent-{job}")
    rig.run(5)
    back = rig.worker()
    back.migrate(job)
    rig.run(5)
    assert is_live(rig, job)
    back.report(job, JobStatus.JS_SUCCESS)
    assert final(rig, job) == (JobStatus.JS_SUCCESS, "")


def test_a_worker_that_comes_back_too_late_is_told_that_the_job_went_on() -> None:
    rig, worker, job = running()
    worker.drop()
    rig.leave(f"agent-{job}")
    rig.run(10)
    other = rig.worker(accepts=True)
    rig.run(1)
    assert len(other.jobs) == 1
    back = rig.worker()
    back.migrate(job, "AJ_unknown")
    assert back.terminated == [job]
    assert rig.drops() == {DropReason.JOB_UNKNOWN: 1}
    assert is_live(rig, other.jobs[0])


@pytest.mark.parametrize("how", ["another name", "another key"])
def test_a_stranger_does_not_get_the_job_of_a_worker_that_is_gone(how: str) -> None:
    rig, worker, job = running()
    worker.drop()
    other = rig.worker(agent_name="other") if how == "another name" else rig.worker(key=OTHER_KEY)
    other.migrate(job)
    other.report(job, JobStatus.JS_SUCCESS)
    assert is_live(rig, job)
    assert other.terminated == [job]
    assert rig.jobs()[0].state.worker_id == worker.id


# The server ends jobs


def test_a_deleted_dispatch_ends_its_jobs() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True, agent_name="helper")
    rig.room()
    rig.join("user")
    dispatch = rig.dispatch(agent_name="helper")
    identity = rig.join_agent(worker)
    rig.delete(dispatch)
    assert worker.terminated == worker.jobs
    rig.run(2.9)
    assert not rig.removals
    rig.run(0.2)
    assert [removal.identity for removal in rig.removals] == [identity]
    assert rig.jobs(dispatch_id=dispatch.id) == []
    rig.run(10)
    assert final(rig, worker.jobs[0]) == (JobStatus.JS_FAILED, "agent worker left the room")
    assert len(worker.terminated) == 1


def test_an_agent_that_goes_by_itself_is_not_removed() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True, agent_name="helper")
    rig.room()
    rig.join("user")
    dispatch = rig.dispatch(agent_name="helper")
    identity = rig.join_agent(worker)
    rig.delete(dispatch)
    rig.leave(identity)
    worker.report(worker.jobs[0], JobStatus.JS_SUCCESS)
    rig.run(100)
    assert not rig.removals
    assert final(rig, worker.jobs[0]) == (JobStatus.JS_SUCCESS, "")


def test_an_agent_that_comes_after_its_dispatch_was_deleted_is_sent_away() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True, agent_name="helper")
    rig.room()
    rig.join("user")
    dispatch = rig.dispatch(agent_name="helper")
    rig.delete(dispatch)
    assert worker.terminated == worker.jobs
    rig.join_agent(worker)
    assert len(rig.removals) == 1


def test_an_offer_of_a_deleted_dispatch_is_withdrawn() -> None:
    rig = AgentsRig()
    worker = rig.worker(agent_name="helper")
    rig.room()
    dispatch = rig.dispatch(agent_name="helper")
    rig.delete(dispatch)
    assert worker.terminated == [worker.offers[0].id]
    worker.answer(worker.offers[0])
    assert not worker.assignments
    assert rig.drops() == {DropReason.JOB_LATE: 1}


def test_a_room_that_ends_ends_its_jobs() -> None:
    rig, worker, job = running()
    dispatched = rig.dispatch(agent_name="nobody")
    assert dispatched.state.jobs[0].state.status == JobStatus.JS_PENDING
    rig.end_room()
    assert worker.terminated == [job]
    ended = {event.job: event.error for event in rig.of(JobEnded)}
    assert ended[dispatched.state.jobs[0].id] == "the room ended"
    rig.run(10)
    assert final(rig, job) == (JobStatus.JS_FAILED, "agent worker left the room")
    rig.run(100)
    assert worker.jobs == [job]
    assert list(rig.agents.jobs()) == []
    assert rig.agents.poll_timeout() is None
    assert rig.agents.num_running == 0


def test_a_room_that_ends_before_the_agent_came_tells_the_worker() -> None:
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    rig.end_room()
    assert worker.terminated == worker.jobs
    rig.run(10)
    assert final(rig, worker.jobs[0])[0] == JobStatus.JS_FAILED


def test_jobs_of_a_dismissed_worker_that_is_gone_end_too() -> None:
    rig, worker, job = running()
    worker.drop()
    rig.end_room()
    rig.run(10)
    assert final(rig, job)[0] == JobStatus.JS_FAILED
    assert rig.agents.poll_timeout() is None


def test_two_jobs_whose_agents_have_one_name_do_not_confuse_the_server() -> None:
    """The later agent puts the earlier one out of the room."""
    rig = AgentsRig()
    worker = rig.worker(agent_name="helper")
    rig.room()
    rig.join("user")
    for _ in range(2):
        rig.dispatch(agent_name="helper")
        worker.answer(worker.offers[-1], participant_identity="same")
        rig.join_agent(worker)
    first, second = worker.jobs
    rig.run(30)
    assert final(rig, first) == (JobStatus.JS_FAILED, "agent worker left the room")
    assert is_live(rig, second)
    rig.leave("same")
    worker.report(second, JobStatus.JS_SUCCESS)
    assert final(rig, second) == (JobStatus.JS_SUCCESS, "")
