"""Data packets by themselves: permission, stamping, duplicates, destinations, and the room's short memory (signalling 6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.errors import DropReason
from sansio.room.data import (
    LOSSY,
    NONCES,
    RELIABLE,
    REPLAY_BYTES,
    REPLAY_S,
    Nonces,
    Replay,
    Routed,
    Sender,
    accept,
    from_server,
)
from sansio.wire import models

Packet = models.DataPacket
User = models.UserPacket


def sender(**changes: bool) -> Sender:
    made = Sender(identity="alice", sid="PA_alice")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def taken(packet: Packet, who: Sender | None = None, kind: int = RELIABLE) -> Routed:
    routed = accept(who or sender(), packet.SerializeToString(), kind, Nonces())
    assert isinstance(routed, Routed), routed
    return routed


CONTENTS: list[Any] = [
    pytest.param(Packet(user=User(payload=b"x", topic="t")), id="user"),
    pytest.param(Packet(chat_message=models.ChatMessage(message="hi")), id="chat"),
    pytest.param(Packet(sip_dtmf=models.SipDTMF(code=1)), id="dtmf"),
    pytest.param(Packet(rpc_request=models.RpcRequest(id="r")), id="rpc request"),
    pytest.param(Packet(rpc_ack=models.RpcAck(request_id="r")), id="rpc ack"),
    pytest.param(Packet(rpc_response=models.RpcResponse(request_id="r")), id="rpc response"),
    pytest.param(Packet(stream_header=models.DataStream.Header(stream_id="s")), id="stream header"),
    pytest.param(Packet(stream_chunk=models.DataStream.Chunk(stream_id="s", content=b"c")), id="stream chunk"),
    pytest.param(Packet(stream_trailer=models.DataStream.Trailer(stream_id="s")), id="stream trailer"),
    pytest.param(Packet(encrypted_packet=models.EncryptedPacket(encrypted_value=b"e")), id="encrypted"),
    pytest.param(Packet.FromString(bytes.fromhex("c23e03616263")), id="newer than this server"),
]


@pytest.mark.parametrize("packet", CONTENTS)
def test_content_is_forwarded_as_it_came(packet: Packet) -> None:
    """D-6: under the sender's name (D-2)."""
    routed = taken(packet)
    expected = Packet()
    expected.CopyFrom(packet)
    expected.participant_identity, expected.participant_sid = "alice", "PA_alice"
    if packet.HasField("user"):
        expected.user.participant_identity, expected.user.participant_sid = "alice", "PA_alice"
    assert Packet.FromString(routed.data) == expected
    assert not routed.is_addressed


@pytest.mark.parametrize(
    ("packet", "who", "reason"),
    [
        pytest.param(Packet(user=User()), {"may_send": False}, DropReason.DATA_NOT_ALLOWED, id="D-1"),
        pytest.param(Packet(speaker=models.ActiveSpeakerUpdate()), {}, DropReason.DATA_NOT_ALLOWED, id="speaker"),
        pytest.param(Packet(transcription=models.Transcription()), {}, DropReason.DATA_NOT_ALLOWED, id="D-7 of a user"),
    ],
)  # fmt: skip
def test_packets_that_are_not_allowed(packet: Packet, who: dict[str, bool], reason: DropReason) -> None:
    assert accept(sender(**who), packet.SerializeToString(), RELIABLE, Nonces()) is reason


def test_metrics_are_not_forwarded() -> None:
    """D-10."""
    packet = Packet()
    packet.metrics.SetInParent()
    assert accept(sender(), packet.SerializeToString(), RELIABLE, Nonces()) is DropReason.DATA_NOT_ALLOWED


def test_an_agent_may_transcribe() -> None:
    """D-7."""
    routed = taken(Packet(transcription=models.Transcription(track_id="TR_x")), sender(is_agent=True))
    assert routed.packet.transcription.track_id == "TR_x"


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([RELIABLE, LOSSY]))
def test_any_bytes_are_a_packet_or_dropped(data: bytes, kind: int) -> None:
    """X-3."""
    routed = accept(sender(), data, kind, Nonces())
    if isinstance(routed, Routed):
        assert (routed.packet.participant_sid, routed.packet.kind) == ("PA_alice", kind)
    else:
        assert routed in (DropReason.DATA_MALFORMED, DropReason.DATA_NOT_ALLOWED)


# Stamps (D-2, D-4, D-5, D-8)


@pytest.mark.parametrize("kind", [RELIABLE, LOSSY])
def test_a_false_sender_and_kind_are_overwritten(kind: int) -> None:
    lie = Packet(
        kind=LOSSY if kind == RELIABLE else RELIABLE, participant_identity="bob", participant_sid="PA_bob",
        user=User(participant_identity="bob", participant_sid="PA_bob", payload=b"x"),
    )  # fmt: skip
    packet = taken(lie, kind=kind).packet
    assert (packet.kind, packet.participant_identity, packet.participant_sid) == (kind, "alice", "PA_alice")
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("alice", "PA_alice")


def test_a_hidden_sender_has_no_name_but_its_sid_outside() -> None:
    """D-5."""
    packet = taken(Packet(user=User(payload=b"x"), participant_identity="x"), sender(is_hidden=True)).packet
    assert (packet.participant_identity, packet.participant_sid) == ("", "PA_alice")
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("", "")


def test_an_agent_may_speak_for_another() -> None:
    """D-8: chat and text streams, marked as generated; nothing else, and nobody else."""
    header = models.DataStream.Header(stream_id="s", text_header=models.DataStream.TextHeader())
    chat = Packet(participant_identity="bob", chat_message=models.ChatMessage(message="m"))
    text = Packet(participant_identity="bob", stream_header=header)
    agent = sender(is_agent=True)
    packet = taken(chat, agent).packet
    assert (packet.participant_identity, packet.chat_message.generated) == ("bob", True)
    packet = taken(text, agent).packet
    assert (packet.participant_identity, packet.stream_header.text_header.generated) == ("bob", True)
    files = models.DataStream.Header(stream_id="s", byte_header=models.DataStream.ByteHeader())
    for other in (
        Packet(participant_identity="bob", stream_header=files),
        Packet(participant_identity="bob", user=User()),
    ):
        assert taken(other, agent).packet.participant_identity == "alice"
    own = taken(Packet(participant_identity="alice", chat_message=models.ChatMessage()), agent).packet
    assert not own.chat_message.generated
    assert taken(chat).packet.participant_identity == "alice"


# Destinations (D-3, D-4)


@pytest.mark.parametrize(
    ("packet", "reached"),
    [
        pytest.param(Packet(user=User()), {"bob", "carol"}, id="all"),
        pytest.param(Packet(user=User(), destination_identities=["bob"]), {"bob"}, id="outside"),
        pytest.param(Packet(user=User(destination_identities=["bob"])), {"bob"}, id="inside"),
        pytest.param(Packet(user=User(destination_sids=["PA_carol"])), {"carol"}, id="sid"),
        pytest.param(
            Packet(user=User(destination_sids=["PA_carol"]), destination_identities=["bob"]), {"bob", "carol"}, id="both"
        ),
        pytest.param(Packet(user=User(), destination_identities=["nobody"]), set(), id="unknown"),
        pytest.param(
            Packet(rpc_ack=models.RpcAck(), destination_identities=["carol"]), {"carol"}, id="not a user packet"
        ),
    ],
)  # fmt: skip
def test_destinations(packet: Packet, reached: set[str]) -> None:
    routed = taken(packet)
    assert {name for name in ("bob", "carol") if routed.is_for(name, f"PA_{name}")} == reached
    assert routed.is_addressed is (reached != {"bob", "carol"} or bool(packet.destination_identities))


def test_destinations_are_mirrored_for_old_and_new_clients() -> None:
    """D-4."""
    for packet in (
        Packet(user=User(), destination_identities=["b", "c"]),
        Packet(user=User(destination_identities=["b", "c"])),
    ):
        made = taken(packet).packet
        assert list(made.destination_identities) == list(made.user.destination_identities) == ["b", "c"]


# Duplicates (D-9, D-12)


def test_numbers_up_to_the_highest_seen_are_dropped() -> None:
    """D-12: for reliable packets with a number; the number is not changed."""
    who, nonces = sender(), Nonces()

    def offer(number: int, kind: int = RELIABLE) -> bool:
        data = Packet(sequence=number, user=User(payload=b"x")).SerializeToString()
        routed = accept(who, data, kind, nonces)
        return isinstance(routed, Routed) and routed.sequence == number

    assert [offer(number) for number in (1, 2, 2, 1, 5, 4, 6)] == [True, True, False, False, True, False, True]
    assert offer(0)
    assert offer(0)
    assert offer(3, LOSSY)
    assert who.highest_sequence == 6


def test_a_repeated_nonce_is_dropped_within_the_last_hundred() -> None:
    """D-9."""
    nonces = Nonces()
    data = Packet(user=User(nonce=b"n" * 16)).SerializeToString()
    assert isinstance(accept(sender(), data, RELIABLE, nonces), Routed)
    assert accept(sender(), data, RELIABLE, nonces) is DropReason.DATA_DUPLICATE
    for number in range(NONCES):
        assert nonces.is_new(b"%016d" % number)
    assert nonces.is_new(b"n" * 16)
    assert not nonces.is_new(b"n" * 16)


# The room's memory (D-15)


def kept(number: int, size: int = 10, sid: str = "PA_a") -> Routed:
    return from_server(Packet(sequence=number, participant_sid=sid, user=User(payload=bytes(size))))


def test_the_memory_gives_what_is_newer_of_senders_that_are_named() -> None:
    replay = Replay()
    for number in (1, 2, 3):
        replay.add(0.0, kept(number))
        replay.add(0.0, kept(number, sid="PA_b"))
    replay.add(0.0, kept(0))
    found = [(r.packet.participant_sid, r.sequence) for r in replay.newer_than({"PA_a": 1, "PA_b": 3})]
    assert found == [("PA_a", 2), ("PA_a", 3)]
    assert list(replay.newer_than({})) == []


def test_the_memory_is_short_in_time_and_bytes() -> None:
    replay = Replay()
    replay.add(0.0, kept(1))
    replay.add(REPLAY_S + 0.1, kept(2))
    assert [r.sequence for r in replay.newer_than({"PA_a": 0})] == [2]
    for number in range(3, 40):
        replay.add(REPLAY_S + 0.1, kept(number, size=REPLAY_BYTES // 10))
    assert next(r.sequence for r in replay.newer_than({"PA_a": 0})) > 25
