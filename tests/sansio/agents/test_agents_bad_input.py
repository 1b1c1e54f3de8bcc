"""What workers should not say: it is counted or ends their socket, and disturbs no other worker."""

from __future__ import annotations

import math
from typing import Any

import pytest
from agents_rig import AgentsRig, JobStatus, WorkerEnd
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.errors import DropReason
from sansio.events import JobEnded
from sansio.ids import SessionId
from sansio.wire import agent, models


def scene() -> tuple[AgentsRig, WorkerEnd, WorkerEnd]:
    """A worker with a job, and one that will misbehave."""
    rig = AgentsRig()
    good = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    rig.join_agent(good)
    return rig, good, rig.worker()


def is_undisturbed(rig: AgentsRig, good: WorkerEnd) -> bool:
    (job,) = rig.jobs()
    return good.closed is None and job.state.worker_id == good.id and job.state.status == JobStatus.JS_RUNNING


@pytest.mark.parametrize(
    ("load", "taken", "drops"),
    [
        (0.0, 0.0, {}),
        (1.0, 1.0, {}),
        (1.5, 1.0, {DropReason.WORKER_LOAD: 1}),
        (-0.5, 0.0, {DropReason.WORKER_LOAD: 1}),
        (math.inf, 1.0, {DropReason.WORKER_LOAD: 1}),
        (-math.inf, 0.0, {DropReason.WORKER_LOAD: 1}),
        (math.nan, 0.5, {DropReason.WORKER_LOAD: 1}),
    ],
)
def test_loads_are_brought_into_their_range(load: float, taken: float, drops: dict[DropReason, int]) -> None:
    """One that is no number leaves the load as it was. Seen in how jobs are shared with a worker of half load."""
    rig = AgentsRig()
    odd, half = rig.worker(accepts=True), rig.worker(accepts=True, load=0.5)
    odd.update(0.5)
    odd.update(load)
    assert rig.drops() == drops
    for number in range(400):
        rig.room(f"room {number}")
    share = len(odd.jobs) / 400
    expected = {0.0: 2 / 3, 0.5: 1 / 2, 1.0: 0.0}[taken]
    assert abs(share - expected) < 0.1
    assert len(odd.jobs) + len(half.jobs) == 400


@pytest.mark.parametrize(
    ("message", "drops"),
    [
        ({"availability": {"job_id": "AJ_unknown", "available": True}}, {DropReason.JOB_UNKNOWN: 1}),
        ({"availability": {"available": True}}, {DropReason.JOB_UNKNOWN: 1}),
        ({"availability": {"terminate": True}}, {DropReason.JOB_UNKNOWN: 1}),
        ({"update_job": {"job_id": "AJ_unknown", "status": "JS_FAILED"}}, {DropReason.JOB_UNKNOWN: 1}),
        ({"migrate_job": {"job_ids": ["AJ_a", "AJ_b"]}}, {DropReason.JOB_UNKNOWN: 2}),
        ({"migrate_job": {}}, {}),
        ({"update_worker": {"status": 9}}, {}),
    ],
)
def test_words_about_nothing_are_counted(message: dict[str, Any], drops: dict[DropReason, int]) -> None:
    rig, good, odd = scene()
    odd.say(**message)
    assert rig.drops() == drops
    assert odd.closed is None
    assert is_undisturbed(rig, good)


def test_a_status_that_there_is_not_counts_as_full() -> None:
    rig = AgentsRig()
    worker = rig.worker()
    worker.update(0.0, 9)
    rig.room()
    assert not worker.offers


def test_nobody_ends_the_job_of_another_worker() -> None:
    rig, good, odd = scene()
    job = good.jobs[0]
    odd.report(job, JobStatus.JS_FAILED)
    odd.report(job, JobStatus.JS_SUCCESS)
    odd.answer(good.offers[0])
    odd.refuse(good.offers[0], for_all=True)
    assert rig.drops() == {DropReason.JOB_UNKNOWN: 4}
    assert is_undisturbed(rig, good)


def test_nobody_takes_the_job_of_another_worker() -> None:
    """One of another kind that claims it is told that it is not its own; one of the same kind may be the same worker."""
    rig, good, odd = scene()
    stranger = rig.worker(agent_name="stranger")
    for end in (odd, stranger):
        end.migrate(good.jobs[0])
        end.report(good.jobs[0], JobStatus.JS_FAILED)
    assert (odd.terminated, stranger.terminated) == ([], good.jobs)
    assert is_undisturbed(rig, good)


@pytest.mark.parametrize("status", ["JS_PENDING", 77])
def test_a_job_status_that_makes_no_sense_is_counted(status: Any) -> None:
    rig, good, _ = scene()
    good.report(good.jobs[0], status)
    assert rig.drops() == {DropReason.JOB_UNKNOWN: 1}
    assert is_undisturbed(rig, good)


def test_simulating_without_a_room_ends_the_socket() -> None:
    rig, good, odd = scene()
    odd.say(simulate_job=agent.SimulateJobRequest())
    assert odd.closed is not None
    assert odd.closed.reason == "simulate_job without a room"
    assert is_undisturbed(rig, good)


MESSAGES = st.one_of(
    st.builds(
        lambda job, yes, stop: {"availability": agent.AvailabilityResponse(job_id=job, available=yes, terminate=stop)},
        st.integers(0, 3).map(str), st.booleans(), st.booleans(),
    ),
    st.builds(
        lambda job, status: {"update_job": agent.UpdateJobStatus(job_id=job, status=status)},
        st.integers(0, 3).map(str), st.integers(0, 5),
    ),
    st.builds(
        lambda load, status: {"update_worker": agent.UpdateWorkerStatus(load=load, status=status)},
        st.floats(width=32), st.integers(0, 2),
    ),
    st.builds(lambda jobs: {"migrate_job": agent.MigrateJobRequest(job_ids=jobs)}, st.lists(st.integers(0, 3).map(str))),
    st.just({"simulate_job": agent.SimulateJobRequest(room=models.Room(name="room"))}),
    st.just({"ping": agent.WorkerPing(timestamp=5)}),
    st.just({"register": agent.RegisterWorkerRequest(type=agent.JobType.JT_PUBLISHER)}),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), MESSAGES, st.floats(0, 5)), max_size=20))
def test_whatever_workers_say_every_job_ends_once(steps: list[tuple[int, dict[str, Any], float]]) -> None:
    """Digits stand for the jobs that were offered so far."""
    rig = AgentsRig()
    ends = [rig.worker(), rig.worker(agent_name="")]
    rig.room()
    rig.join("user")
    for who, message, pause in steps:
        end = ends[who]
        offered = [job.id for each in ends for job in each.offers]
        for body in message.values():
            if "job_id" in body.DESCRIPTOR.fields_by_name and offered and body.job_id:
                body.job_id = offered[int(body.job_id) % len(offered)] if body.job_id.isdigit() else body.job_id
            if "job_ids" in body.DESCRIPTOR.fields_by_name and offered:
                ids = [offered[int(each) % len(offered)] for each in body.job_ids if each.isdigit()]
                del body.job_ids[:]
                body.job_ids.extend(ids)
        end.say(**message)
        rig.run(pause)
    owners: dict[str, str] = {}
    for end in ends:
        for job_id in end.jobs:
            assert owners.setdefault(job_id, end.id) == end.id
        assert len(end.jobs) == len(set(end.jobs))
    rig.leave("user")
    rig.end_room()
    rig.run(300)
    assert rig.agents.num_running == 0
    assert rig.agents.poll_timeout() is None
    ended = [event.job for event in rig.of(JobEnded)]
    assert len(ended) == len(set(ended))
    assert set(owners) <= set(ended)


def test_frames_of_a_socket_that_is_not_there_are_nothing() -> None:
    rig = AgentsRig()
    rig.agents.handle_message(0.0, SessionId(99), b"\x0a")
    rig.agents.handle_disconnect(0.0, SessionId(99))
    assert rig.agents.poll_commands() == []
