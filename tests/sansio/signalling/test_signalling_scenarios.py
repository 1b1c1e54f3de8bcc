"""Leaving, and the faults that a client can ask the server to stage (signalling 8.1, 8.3)."""

from __future__ import annotations

import pytest
from signalling_rig import Action, Client, DisconnectReason, Rig

from sansio import Close
from sansio.events import ParticipantLeft
from sansio.wire import models, rtc

Scenario = rtc.SimulateScenario


def call(*, v1: bool = False) -> tuple[Rig, Client, Client]:
    rig = Rig()
    alice, bob = rig.join("alice", media=True, v1=v1), rig.join("bob", media=True)
    rig.run(0.5)
    alice.publish()
    rig.run(0.5)
    alice.forget()
    bob.forget()
    return rig, alice, bob


# Leaving (R-1, R-2, S-2)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (DisconnectReason.UNKNOWN_REASON, "CLIENT_INITIATED"),
        (DisconnectReason.CLIENT_INITIATED, "CLIENT_INITIATED"),
        (DisconnectReason.USER_UNAVAILABLE, "USER_UNAVAILABLE"),
        (DisconnectReason.USER_REJECTED, "USER_REJECTED"),
        (DisconnectReason.AGENT_ERROR, "AGENT_ERROR"),
        (DisconnectReason.ROOM_DELETED, "CLIENT_INITIATED"),
        (99, "CLIENT_INITIATED"),
    ],
)
def test_a_client_leaves_with_its_reason(said: int, shown: str) -> None:
    rig, alice, bob = call()
    alice.send(leave=rtc.LeaveRequest(reason=said))  # type: ignore[arg-type]
    leave = alice.last("leave")
    reason = DisconnectReason.Value(shown)
    assert (leave.reason, leave.action, leave.can_reconnect) == (reason, Action.DISCONNECT, False)
    assert alice.kinds[-1] == "leave"
    assert alice.closed == Close(session=alice.session, code=1000, reason="")
    assert bob.infos_of("alice")[-1].disconnect_reason == reason
    assert [event.reason for event in rig.event(ParticipantLeft)] == [shown]


def test_leaving_five_times_is_leaving() -> None:
    """bad_input."""
    _rig, alice, bob = call()
    for _ in range(5):
        alice.send(leave=rtc.LeaveRequest())
    assert alice.kinds.count("leave") == 1
    assert len(bob.infos_of("alice")) == 1
    alice.drop_socket()
    assert bob.is_open()


# Staged faults


def test_a_staged_speaker_speaks_and_falls_silent() -> None:
    rig, alice, bob = call()
    alice.send(simulate=Scenario(speaker_update=2))
    for client in (alice, bob):
        (speaker,) = client.last("speakers_changed").speakers
        assert (speaker.sid, speaker.active, round(speaker.level, 3)) == (alice.sid, True, 0.9)
    rig.run(1.9)
    assert len(bob.of("speakers_changed")) == 1
    rig.run(0.2)
    for client in (alice, bob):
        (speaker,) = client.last("speakers_changed").speakers
        assert (speaker.sid, speaker.active, speaker.level) == (alice.sid, False, 0)


@pytest.mark.parametrize("seconds", [0, -5, 2**31 - 1])
def test_any_number_of_seconds_will_do(seconds: int) -> None:
    rig, alice, _ = call()
    alice.send(simulate=Scenario(speaker_update=seconds))
    rig.run(1)
    assert alice.is_open()


@pytest.mark.parametrize("scenario", [Scenario(node_failure=True), Scenario(migration=True)], ids=["node", "migration"])
def test_a_staged_failure_ends_the_session_without_a_word(scenario: Scenario) -> None:
    _rig, alice, bob = call()
    alice.send(simulate=scenario)
    assert alice.messages == []
    assert not alice.is_open()
    assert "alice" not in bob.view
    alice.resume()
    assert alice.kinds == ["leave"]
    assert (alice.last("leave").reason, alice.last("leave").action) == (
        DisconnectReason.STATE_MISMATCH,
        Action.RECONNECT,
    )


def test_a_staged_end_of_the_server() -> None:
    _rig, alice, bob = call()
    alice.send(simulate=Scenario(server_leave=True))
    leave = alice.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.SERVER_SHUTDOWN, Action.DISCONNECT)
    assert not alice.is_open()
    assert bob.is_open()


def test_a_staged_full_reconnect() -> None:
    _rig, alice, bob = call()
    alice.send(simulate=Scenario(leave_request_full_reconnect=True))
    leave = alice.last("leave")
    assert (leave.action, leave.can_reconnect) == (Action.RECONNECT, True)
    assert not alice.is_open()
    assert "alice" in bob.view


@pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])
def test_a_staged_change_of_the_candidate_protocol(v1: bool) -> None:
    rig, alice, _ = call(v1=v1)
    alice.send(simulate=Scenario(switch_candidate_protocol=rtc.CandidateProtocol.TCP))
    if v1:
        assert alice.last("leave").action == Action.RESUME
        assert not alice.is_open()
        alice.resume()
        assert alice.kinds[0] == "reconnect"
        return
    assert alice.of("offer")
    rig.run(2)
    assert alice.is_open()
    assert all(connection.is_connected for connection in alice.media.connections)


def test_a_staged_loss_after_the_messages_of_a_resume() -> None:
    _rig, alice, _ = call()
    alice.send(simulate=Scenario(disconnect_signal_on_resume=True))
    assert alice.is_open()
    alice.resume()
    assert alice.kinds[:2] == ["reconnect", "update"]
    assert not alice.is_open()
    alice.resume()
    assert alice.kinds[0] == "reconnect"
    assert alice.is_open(), "once"


def test_a_staged_loss_before_any_message_of_a_resume() -> None:
    _rig, alice, _ = call()
    alice.send(simulate=Scenario(disconnect_signal_on_resume_no_messages=True))
    for _ in range(3):
        alice.resume()
        assert alice.messages == []
        assert not alice.is_open()
    alice.resume()
    assert alice.kinds[0] == "reconnect"
    assert alice.is_open()


def test_a_staged_loss_is_forgotten_after_five_seconds() -> None:
    rig, alice, _ = call()
    alice.send(simulate=Scenario(disconnect_signal_on_resume_no_messages=True))
    rig.run(5.1)
    alice.resume()
    assert alice.kinds[0] == "reconnect"
    assert alice.is_open()


@pytest.mark.parametrize(
    "scenario", [Scenario(), Scenario(subscriber_bandwidth=100_000), Scenario(subscriber_bandwidth=-1)]
)
def test_other_scenarios_do_nothing(scenario: Scenario) -> None:
    _, alice, _ = call()
    alice.send(simulate=scenario)
    assert (alice.messages, alice.is_open()) == ([], True)


# Requests without effect


@pytest.mark.parametrize(
    "request_",
    [
        {"update_layers": rtc.UpdateVideoLayers(track_sid="TR_x")},
        {"answer": rtc.SessionDescription(type="answer", sdp="v=0\r\n", id=99)},
    ],
    ids=["update_layers", "an answer to nothing"],
)
def test_requests_without_effect(request_: dict[str, object]) -> None:
    _, alice, _ = call(v1=True)
    alice.send(**request_)
    assert (alice.messages, alice.is_open()) == ([], True)


# Candidates (P-23, P-25)

CANDIDATE = '{"candidate":"candidate:1 1 udp 2130706431 192.0.2.77 9 typ host","sdpMid":"0","sdpMLineIndex":0}'


@pytest.mark.parametrize(
    "init",
    [
        CANDIDATE,
        '{"candidate":""}',
        '{"sdpMLineIndex":0,"sdpMid":"0","candidate":"candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active"}',
        '{"candidate":"candidate:1 1 udp 1 0b6f2b0c-1c9e-4c1e-9c43-0d6f0a3ed6f1.local 9 typ host"}',
        '{"candidate":"candidate:x y z"}',
    ],
)
@pytest.mark.parametrize("target", [0, 1])
def test_candidates_that_are_taken_or_passed_over(init: str, target: int) -> None:
    _, alice, _ = call()
    alice.send(trickle=rtc.TrickleRequest(candidateInit=init, target=target))  # type: ignore[arg-type]
    assert (alice.messages, alice.is_open()) == ([], True)


@pytest.mark.parametrize("init", ["", "{", "[]", '{"candidate":5}', "null", "5", "[" * 5000, '{"a":"b"}'])
@pytest.mark.parametrize("target", [0, 1])
def test_candidates_that_are_no_json_of_that_kind(init: str, target: int) -> None:
    """4.1 row 3."""
    _, alice, _ = call()
    trickle = rtc.TrickleRequest(candidateInit=init, target=target)  # type: ignore[arg-type]
    alice.send(trickle=trickle)
    (response,) = alice.of("request_response")
    assert (response.reason, response.trickle) == (rtc.RequestResponse.Reason.UNCLASSIFIED_ERROR, trickle)
    assert alice.is_open()


def test_candidates_may_come_before_their_description() -> None:
    """P-25: and any number of them."""
    rig = Rig()
    alice = rig.join("alice")
    for number in range(500):
        init = f'{{"candidate":"candidate:{number} 1 udp 1 192.0.2.1 {number + 1024} typ host"}}'
        alice.send(trickle=rtc.TrickleRequest(candidateInit=init))
    bob = rig.join("bob", media=True)
    rig.run(1)
    assert alice.is_open()
    assert bob.view["bob"].state == models.ParticipantInfo.State.ACTIVE


def test_a_candidate_that_came_early_is_what_connects() -> None:
    """P-25: the description itself names none."""
    rig = Rig()
    alice = rig.join("alice", media=True, announce=False)
    phone = alice.media.open_publisher()
    line = phone.peer.candidates[0].encode()
    alice.send(trickle=rtc.TrickleRequest(candidateInit=f'{{"candidate":"{line}","sdpMid":"0","sdpMLineIndex":0}}'))
    offer = phone.offer()
    bare = "\r\n".join(row for row in offer.sdp.split("\r\n") if "candidate" not in row)
    alice.send(offer=rtc.SessionDescription(type="offer", sdp=bare, id=offer.id))
    rig.run(1)
    assert phone.is_connected
