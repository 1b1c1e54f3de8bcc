"""Found by simulation, each as small as it gets."""

from __future__ import annotations

import pytest
from agents_rig import AgentsRig, WorkerStatus

from sansio.errors import DropReason
from sansio.wire import agent, models


def test_a_late_yes_does_not_end_the_job_that_was_given_to_the_same_worker_since() -> None:
    """The offer ran out, the worker was asked again when it had room, took the job, and answers the first offer as well."""
    rig = AgentsRig()
    worker = rig.worker()
    rig.room()
    worker.update(1.0, WorkerStatus.WS_FULL)
    rig.run(5)
    worker.update(0.1)
    rig.run(5)
    first, again = worker.offers
    assert first.id == again.id
    assert worker.terminated == [first.id]
    worker.answer(again)
    worker.answer(first)
    assert worker.jobs == [first.id]
    assert worker.terminated == [first.id], "withdrawn once, and not ended"
    assert rig.drops() == {DropReason.JOB_LATE: 1}


@pytest.mark.parametrize("absence", ["never came", "lost its connection"])
def test_an_agent_that_comes_after_its_job_has_failed_is_sent_away(absence: str) -> None:
    """Its job was ended as its dispatch was deleted, or as it was away for too long and its worker did not say why."""
    rig = AgentsRig()
    worker = rig.worker(accepts=True)
    rig.room()
    rig.join("user")
    dispatch = rig.dispatch()
    identity = worker.assignments[-1].job.state.participant_identity
    if absence == "never came":
        rig.delete(dispatch)
        rig.run(11)
    else:
        rig.join_agent(worker)
        rig.leave(identity, reason="CONNECTION_TIMEOUT")
        rig.run(26)
        (job,) = rig.jobs(dispatch_id=dispatch.id)
        assert job.state.error == "agent worker left the room"
    rig.join(identity, kind="agent")
    assert [removal.identity for removal in rig.removals] == [identity]


def test_a_simulated_job_that_is_offered_while_its_room_ends_is_withdrawn() -> None:
    """Taken after that, it had nobody to end it."""
    rig = AgentsRig()
    worker = rig.worker(agent_name="named")
    rig.room()
    worker.say(simulate_job=agent.SimulateJobRequest(room=models.Room(name="room")))
    rig.end_room()
    (job,) = worker.offers
    assert worker.terminated == [job.id]
    worker.answer(job)
    assert worker.jobs == []
    assert rig.agents.num_running == 0
