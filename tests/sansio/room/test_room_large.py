"""Rooms of many: what is told to everybody reaches everybody, also where it is worked out for some at a time."""

from __future__ import annotations

from node_rig import Rig

from sansio.room.observers import QUALITY_INTERVAL_S, SCORED_AT_ONCE
from sansio.wire import models, rtc


def test_quality_is_told_to_all_once_all_are_scored() -> None:
    rig = Rig()
    members = [rig.join(f"p{number}") for number in range(2 * SCORED_AT_ONCE + 3)]
    rig.run(QUALITY_INTERVAL_S - 0.01)
    assert not any(member.of("connection_quality") for member in members)
    rig.run(0.1)
    for member in members:
        (update,) = member.last("connection_quality").updates
        assert (update.participant_sid, update.quality) == (member.sid, models.ConnectionQuality.EXCELLENT)
    for member in members:
        member.forget()
    newcomer = rig.join("newcomer")
    rig.run(QUALITY_INTERVAL_S)
    assert all(len(member.of("connection_quality")) == 1 for member in (*members, newcomer))


def test_who_leaves_while_others_are_scored_is_not_told_of() -> None:
    rig = Rig()
    members = [rig.join(f"p{number}") for number in range(2 * SCORED_AT_ONCE)]
    rig.run(QUALITY_INTERVAL_S + 0.005)
    first, last = members[0], members[-1]
    first.send(leave=rtc.LeaveRequest())
    last.send(leave=rtc.LeaveRequest())
    rig.run(0.1)
    assert not first.of("connection_quality")
    assert not last.of("connection_quality")
    assert all(len(member.of("connection_quality")) == 1 for member in members[1:-1])


def test_a_broadcast_reaches_members_that_nothing_else_happens_to() -> None:
    rig = Rig()
    members = [rig.join(f"p{number}") for number in range(40)]
    rig.run(10)
    for member in members:
        member.forget()
    newcomer = rig.join("newcomer", media=True)
    rig.run(1)
    newcomer.publish()
    rig.run(1)
    assert all(member.infos_of("newcomer")[-1].tracks for member in members)
    rig.run(6)
    assert {member.last("room_update").room.num_participants for member in members} == {41}
