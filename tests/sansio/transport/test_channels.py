"""Data channels between two peers in virtual time, and against a peer that is an association only."""

from __future__ import annotations

from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.entropy import SeededEntropy
from sansio.errors import DropReason, LocalProtocolError
from sansio.sctp import Association, AssociationState, Message, Ppid, ResetDone, SctpConfig, StreamsReset
from sansio.sctp.chunks import ChunkType, Init, encode_chunk, encode_packet
from sansio.sctp.dcep import ACK, Open, parse
from sansio.transport.channels import (
    MAX_CHANNELS,
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    ChannelsDown,
    DataChannels,
)

T = TypeVar("T")


class Line:
    """Two machines and a link of 20 ms that loses some packets."""

    def __init__(self, a: Any, b: Any, *, loss: float = 0.0, seed: int = 0) -> None:
        self.now = 10.0
        self.machines = (a, b)
        self.events: tuple[list[Any], list[Any]] = ([], [])
        self.loss = loss
        self._random = Random(seed)
        self._flying: list[tuple[float, int, bytes]] = []

    def run(self, seconds: float = 2.0) -> None:
        """Let time pass in steps of 5 ms, or to the end if nothing is due before."""
        end = self.now + seconds
        while self.now < end:
            self.flush()
            due = [at for machine in self.machines if (at := machine.poll_timeout()) is not None]
            due += [at for at, _, _ in self._flying]
            self.now = min([max(min(due), self.now), end]) if due else end
            arrived = [item for item in self._flying if item[0] <= self.now]
            self._flying = [item for item in self._flying if item[0] > self.now]
            for _, index, data in arrived:
                self.machines[index].handle_packet(self.now, data)
            for machine in self.machines:
                at = machine.poll_timeout()
                if at is not None and at <= self.now:
                    machine.handle_timeout(self.now)
        self.flush()

    def flush(self) -> None:
        for index, machine in enumerate(self.machines):
            self.events[index].extend(machine.poll_events())
            for data in machine.poll_transmits():
                if self._random.random() >= self.loss:
                    self._flying.append((self.now + 0.02, 1 - index, data))

    def take(self, index: int) -> list[Any]:
        """The events of one side since the last look."""
        events = list(self.events[index])
        self.events[index].clear()
        return events


def pair(
    *, loss: float = 0.0, seed: int = 0, config: SctpConfig | None = None
) -> tuple[Line, DataChannels, DataChannels]:
    """Two that have not begun; the first will be the DTLS client."""
    entropy = SeededEntropy(seed)
    a, b = (DataChannels(entropy=entropy.child(name), config=config or SctpConfig()) for name in ("a", "b"))
    return Line(a, b, loss=loss, seed=seed), a, b


def started(*, loss: float = 0.0, seed: int = 0) -> tuple[Line, DataChannels, DataChannels]:
    line, a, b = pair(loss=loss, seed=seed)
    a.start(line.now, True)
    b.start(line.now, False)
    line.run()
    return line, a, b


def beside(config: SctpConfig | None = None) -> tuple[Line, DataChannels, Association]:
    """Channels against an association whose messages the test makes by hand."""
    channels = DataChannels(entropy=SeededEntropy("channels"), config=config or SctpConfig())
    peer = Association(entropy=SeededEntropy("peer"))
    line = Line(channels, peer)
    channels.start(line.now, True)
    peer.start(line.now)
    line.run()
    line.take(1)
    return line, channels, peer


def opened(
    channel: int, label: str, *, by_peer: bool, ordered: bool = True, max_retransmits: int | None = None
) -> ChannelOpened:
    return ChannelOpened(
        channel=channel, label=label, ordered=ordered, max_retransmits=max_retransmits, by_peer=by_peer
    )


def message(channel: int, label: str, data: bytes, *, binary: bool = True) -> ChannelMessage:
    return ChannelMessage(channel=channel, label=label, data=data, binary=binary)


# Opening


def test_livekits_three_channels_open_and_carry_messages_both_ways() -> None:
    line, a, b = started()
    reliable = a.open(line.now, "_reliable")
    a.open(line.now, "_lossy", ordered=False, max_retransmits=0)
    a.open(line.now, "_data_track", ordered=False, max_retransmits=0)
    line.run()
    lossy = {"ordered": False, "max_retransmits": 0}
    for side, by_peer in ((0, False), (1, True)):
        assert line.take(side) == [
            opened(0, "_reliable", by_peer=by_peer),
            opened(1, "_lossy", by_peer=by_peer, **lossy),  # type: ignore[arg-type]
            opened(2, "_data_track", by_peer=by_peer, **lossy),  # type: ignore[arg-type]
        ]
    assert a.is_open(reliable)
    a.send(line.now, 0, b"to b")
    b.send(line.now, 1, b"to a", binary=False)
    line.run()
    assert line.take(1) == [message(0, "_reliable", b"to b")]
    assert line.take(0) == [message(1, "_lossy", b"to a", binary=False)]


def test_the_dtls_client_uses_even_streams_and_the_server_odd_ones() -> None:
    streams = []
    for is_client in (True, False):
        channels = DataChannels(entropy=SeededEntropy(1))
        peer = Association(entropy=SeededEntropy(2))
        line = Line(channels, peer)
        channels.open(line.now, "one")
        channels.start(line.now, is_client)
        channels.open(line.now, "two")
        peer.start(line.now)
        line.run()
        streams.append([event.stream for event in line.take(1) if isinstance(event, Message)])
    assert streams == [[0, 2], [1, 3]]


def test_channels_opened_and_used_before_the_start_come_up_with_it() -> None:
    line, a, b = pair()
    first = a.open(line.now, "first")
    gone = a.open(line.now, "gone")
    assert a.send(line.now, first, b"early")
    assert a.buffered_bytes(first) == 5
    a.close(line.now, gone)
    a.start(line.now, True)
    a.start(line.now, False)
    b.start(line.now, False)
    line.run()
    assert line.take(0) == [ChannelClosed(gone, "gone"), opened(first, "first", by_peer=False)]
    assert line.take(1) == [opened(0, "first", by_peer=True), message(0, "first", b"early")]
    assert a.buffered_bytes(first) == 0


def test_before_the_acknowledgement_even_an_unordered_channel_sends_in_order() -> None:
    line, channels, peer = beside()
    channel = channels.open(line.now, "_lossy", ordered=False, max_retransmits=0)
    channels.send(line.now, channel, b"one")
    flags = data_flags(channels.poll_transmits())
    assert flags == [0, 0], "neither the OPEN nor what follows has the U bit"
    peer.send(line.now, 0, ACK, ppid=Ppid.DCEP)
    line.run(0.1)
    channels.send(line.now, channel, b"two")
    assert data_flags(channels.poll_transmits()) == [4]


def data_flags(packets: list[bytes]) -> list[int]:
    """The U bits of the DATA chunks."""
    found = []
    for packet in packets:
        at = 12
        while at < len(packet):
            if packet[at] == 0:
                found.append(packet[at + 1] & 4)
            at += (int.from_bytes(packet[at + 2 : at + 4], "big") + 3) & ~3
    return found


def test_unordered_data_that_overtakes_its_open_is_kept() -> None:
    line, channels, peer = beside()
    peer.send(line.now, 5, b"early", ppid=Ppid.BINARY, ordered=False)
    peer.send(line.now, 7, b"other", ppid=Ppid.BINARY, ordered=False)
    line.run(0.1)
    assert line.take(0) == []
    peer.send(line.now, 5, Open(label="late").encode(), ppid=Ppid.DCEP)
    line.run(0.1)
    assert line.take(0) == [opened(0, "late", by_peer=True), message(0, "late", b"early")]
    assert channels.poll_drops() == {}


def test_data_for_streams_that_nobody_opens_is_bounded() -> None:
    line, channels, peer = beside()
    for i in range(100):
        peer.send(line.now, 5, b"%d" % i + bytes(2000), ppid=Ppid.BINARY)
        line.run(0.1)
    assert channels.poll_drops()[DropReason.DATA_NO_RECEIVER] >= 60
    peer.send(line.now, 5, Open(label="late").encode(), ppid=Ppid.DCEP)
    line.run(0.1)
    kept = [event.data for event in line.take(0) if isinstance(event, ChannelMessage)]
    assert 20 < len(kept) < 40
    assert kept[-1] == b"99" + bytes(2000)


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        (Open(label="x", ordered=False, max_retransmits=3), {"ordered": False, "max_retransmits": 3}),
        (Open(label="x", max_lifetime_ms=100), {}),
    ],
    ids=["few retransmissions", "timed"],
)
def test_the_peer_chooses_the_kind_of_its_channels(opening: Open, expected: dict[str, Any]) -> None:
    line, channels, peer = beside()
    peer.send(line.now, 3, opening.encode(), ppid=Ppid.DCEP)
    line.run()
    assert line.take(0) == [opened(0, "x", by_peer=True, **expected)]
    assert line.take(1) == [Message(3, Ppid.DCEP, ACK)]
    channels.send(line.now, 0, b"back")
    line.run()
    assert line.take(1) == [Message(3, Ppid.BINARY, b"back")]


def test_a_second_open_on_a_stream_costs_that_channel_only() -> None:
    line, channels, peer = beside()
    for stream in (1, 3, 1):
        peer.send(line.now, stream, Open(label=f"on {stream}").encode(), ppid=Ppid.DCEP)
    line.run()
    assert line.take(0)[:2] == [opened(0, "on 1", by_peer=True), opened(1, "on 3", by_peer=True)]
    assert channels.poll_drops() == {DropReason.DCEP_MALFORMED: 1}
    assert StreamsReset((1,)) in line.take(1)
    assert channels.is_open(1)
    assert not channels.is_open(0)
    assert not channels.send(line.now, 0, b"x")


def test_malformed_dcep_and_acknowledgements_of_nothing_are_dropped() -> None:
    line, channels, peer = beside()
    for data in (b"\3", b"\7", ACK):
        peer.send(line.now, 1, data, ppid=Ppid.DCEP)
    line.run()
    assert line.take(0) == []
    assert channels.poll_drops() == {DropReason.DCEP_MALFORMED: 2}


def test_more_channels_than_allowed_are_turned_away() -> None:
    line, channels, peer = beside()
    for i in range(MAX_CHANNELS + 1):
        peer.send(line.now, 2 * i + 1, Open(label="x").encode(), ppid=Ppid.DCEP)
    line.run(20.0)
    assert len(line.take(0)) == MAX_CHANNELS
    assert [event for event in line.take(1) if isinstance(event, StreamsReset)] == [
        StreamsReset((2 * MAX_CHANNELS + 1,))
    ]
    with pytest.raises(LocalProtocolError):
        channels.open(line.now, "one more")


def test_a_peer_that_never_finishes_its_resets_is_let_go() -> None:
    line, _, peer = beside()
    for i in range(6000):
        peer.send(line.now, i, Open(label="x").encode(), ppid=Ppid.DCEP)
    line.run(60.0)
    assert line.take(0)[-1] == ChannelsDown("too many data channels")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_peer_sends_never_raises(data: st.DataObject) -> None:
    line, channels, peer = beside()
    stream = st.integers(0, 4) | st.just(65_534)
    payload = st.binary(min_size=1, max_size=30) | st.sampled_from([ACK, Open(label="x").encode()])
    for _ in range(data.draw(st.integers(1, 15))):
        match data.draw(st.integers(0, 5)):
            case 0:
                peer.reset_stream(line.now, data.draw(stream))
            case 1:
                channels.open(line.now, "ours")
            case 2:
                channels.close(line.now, data.draw(st.integers(0, 5)))
            case _:
                ppid = data.draw(st.sampled_from([*Ppid, Ppid.DCEP, Ppid.DCEP, 0]))
                peer.send(line.now, data.draw(stream), data.draw(payload), ppid=ppid, ordered=data.draw(st.booleans()))
        line.run(data.draw(st.sampled_from([0.0, 0.05, 1.0])))
    line.run(5.0)
    assert channels.state is AssociationState.ESTABLISHED


# Messages


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
@pytest.mark.parametrize("data", [b"", b"\0", b"x", bytes(65_535)], ids=["empty", "zero", "byte", "largest"])
def test_messages_of_any_size_arrive_as_they_were(binary: bool, data: bytes) -> None:
    line, a, _ = started()
    channel = a.open(line.now, "x")
    assert a.send(line.now, channel, data, binary=binary)
    line.run(5.0)
    assert line.take(1)[1:] == [message(0, "x", data, binary=binary)]
    assert a.buffered_bytes(channel) == 0


def test_empty_messages_have_a_ppid_of_their_own() -> None:
    line, channels, _ = beside()
    channel = channels.open(line.now, "x")
    channels.send(line.now, channel, b"")
    channels.send(line.now, channel, b"", binary=False)
    line.run()
    assert line.take(1)[1:] == [Message(0, Ppid.BINARY_EMPTY, b"\0"), Message(0, Ppid.STRING_EMPTY, b"\0")]


@pytest.mark.parametrize("ppid", [Ppid.BINARY_PARTIAL, Ppid.STRING_PARTIAL, 0, 99], ids=str)
def test_other_payloads_are_dropped(ppid: int) -> None:
    line, channels, peer = beside()
    peer.send(line.now, 1, Open(label="x").encode(), ppid=Ppid.DCEP)
    peer.send(line.now, 1, b"what", ppid=ppid)
    line.run()
    assert line.take(0) == [opened(0, "x", by_peer=True)]
    assert channels.poll_drops() == {DropReason.SCTP_UNEXPECTED: 1}


def test_a_message_above_the_limit_is_dropped_and_the_channel_lives() -> None:
    line, channels, peer = beside()
    peer.send(line.now, 1, Open(label="x").encode(), ppid=Ppid.DCEP)
    peer.send(line.now, 1, bytes(65_536), ppid=Ppid.BINARY)
    peer.send(line.now, 1, b"next", ppid=Ppid.BINARY)
    line.run(5.0)
    assert line.take(0)[1:] == [message(0, "x", b"next")]
    assert channels.poll_drops() == {DropReason.DATA_TOO_LARGE: 1}


def test_misuse_is_the_callers_error() -> None:
    line, a, _ = started()
    with pytest.raises(LocalProtocolError):
        a.send(line.now, 0, b"x")
    channel = a.open(line.now, "x")
    with pytest.raises(LocalProtocolError):
        a.send(line.now, channel, bytes(65_536))
    a.close(line.now, 99)
    assert a.buffered_bytes(99) == 0
    assert not a.is_open(99)


@pytest.mark.parametrize("is_started", [False, True])
def test_send_declines_when_too_much_is_queued(is_started: bool) -> None:
    line, a, _ = pair(config=SctpConfig(send_buffer_bytes=100_000))
    channel = a.open(line.now, "x")
    if is_started:
        a.start(line.now, True)
    assert a.send(line.now, channel, bytes(60_000))
    assert not a.send(line.now, channel, bytes(60_000))
    assert 60_000 <= a.buffered_bytes(channel) < 61_000


# Closing


@pytest.mark.parametrize("loss", [0.0, 0.2], ids=["good line", "bad line"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("closer", ["a", "b", "both"])
def test_a_close_lets_what_was_sent_through_and_is_told_on_both_sides(loss: float, seed: int, closer: str) -> None:
    line, a, b = started(seed=seed)
    channel = a.open(line.now, "x")
    line.run()
    line.take(0), line.take(1)
    line.loss = loss
    a.send(line.now, channel, bytes(20_000))
    if closer in ("a", "both"):
        a.close(line.now, channel)
        a.close(line.now, channel)
        assert not a.send(line.now, channel, b"late")
    if closer in ("b", "both"):
        b.close(line.now, 0)
    line.run(60.0)
    assert [event for event in line.take(0) if not isinstance(event, ChannelMessage)] == [ChannelClosed(channel, "x")]
    expected = [ChannelClosed(0, "x")]
    if closer == "a":
        expected.insert(0, message(0, "x", bytes(20_000)))  # type: ignore[arg-type]
    assert [event for event in line.take(1) if closer == "a" or isinstance(event, ChannelClosed)] == expected
    again = a.open(line.now, "again")
    a.send(line.now, again, b"hello")
    line.run(30.0)
    assert line.take(1) == [opened(1, "again", by_peer=True), message(1, "again", b"hello")], f"seed {seed}"


def test_streams_are_used_again_only_when_all_others_were() -> None:
    line, a, _ = started()
    for _ in range(3):
        channel = a.open(line.now, "x")
        line.run()
        a.close(line.now, channel)
        line.run()
    line.take(1)
    a.open(line.now, "y")
    [packet] = a.poll_transmits()
    assert packet[20:22] == b"\0\6", "the stream in the first chunk"


def test_a_channel_that_we_close_is_closed_when_the_peer_has_closed_it() -> None:
    line, channels, peer = beside()
    channel = channels.open(line.now, "x")
    line.run()
    line.take(0)
    assert parse(line.take(1)[0].data) is not None
    channels.close(line.now, channel)
    line.run()
    assert line.take(0) == [], "the peer has not done its half"
    peer.reset_stream(line.now, 0)
    line.run()
    assert line.take(0) == [ChannelClosed(channel, "x")]
    assert ResetDone((0,)) in line.take(1)


def test_a_peer_without_stream_reset_is_not_waited_for() -> None:
    channels = DataChannels(entropy=SeededEntropy(1))
    channel = channels.open(1.0, "x")
    channels.start(1.0, True)
    [packet] = channels.poll_transmits()
    tag = int.from_bytes(packet[16:20], "big")
    peer = Init(
        tag=7, receive_window_bytes=1 << 20, outbound_streams=9, inbound_streams=9, initial_tsn=1, cookie=b"cookie"
    )
    for chunk in (peer.encode(ChunkType.INIT_ACK), encode_chunk(ChunkType.COOKIE_ACK)):
        channels.handle_packet(1.0, encode_packet((5000, 5000), tag, [chunk], checksum=True))
    channels.close(1.0, channel)
    assert channels.poll_events() == [ChannelClosed(channel, "x")]


def test_the_peer_may_reset_everything_at_once() -> None:
    line, channels, peer = beside()
    for stream in (1, 3):
        peer.send(line.now, stream, Open(label=f"{stream}").encode(), ppid=Ppid.DCEP)
    line.run()
    line.take(0)
    for stream in (1, 3):
        peer.reset_stream(line.now, stream)
    line.run()
    assert line.take(0) == [ChannelClosed(0, "1"), ChannelClosed(1, "3")]
    assert StreamsReset((1, 3)) in line.take(1), "our halves follow, in one request"
    peer.send(line.now, 1, Open(label="anew").encode(), ppid=Ppid.DCEP)
    line.run()
    assert line.take(0) == [opened(2, "anew", by_peer=True)]
    assert channels.is_open(2)


# The end of the association


def test_the_end_takes_all_channels_at_once() -> None:
    line, a, b = started()
    channel = a.open(line.now, "x")
    line.run()
    line.take(0), line.take(1)
    a.abort(line.now, "left")
    assert a.state is AssociationState.CLOSED
    line.run()
    assert line.take(0) == [ChannelsDown("left")]
    assert line.take(1) == [ChannelsDown("aborted by the peer: user initiated abort: left")]
    assert not a.send(line.now, channel, b"x")
    assert not b.send(line.now, 0, b"x")
    assert a.poll_timeout() is None
    late = a.open(line.now, "late")
    assert a.buffered_bytes(late) == 0


def test_a_peer_that_restarts_gets_our_channels_anew_and_loses_its_own() -> None:
    line, a, b = started()
    ours = a.open(line.now, "ours")
    b.open(line.now, "theirs")
    line.run()
    line.take(0), line.take(1)
    fresh = DataChannels(entropy=SeededEntropy("fresh"))
    line.machines = (a, fresh)
    fresh.start(line.now, False)
    line.run()
    assert line.take(0) == [ChannelClosed(1, "theirs"), opened(ours, "ours", by_peer=False)]
    assert line.take(1) == [opened(0, "ours", by_peer=True)]
    a.send(line.now, ours, b"still there")
    line.run()
    assert line.take(1) == [message(0, "ours", b"still there")]


@pytest.mark.parametrize("seed", range(6))
def test_channels_come_up_and_deliver_over_a_bad_line(seed: int) -> None:
    line, a, b = pair(loss=0.2, seed=seed)
    a.open(line.now, "_reliable")
    a.open(line.now, "_lossy", ordered=False, max_retransmits=0)
    b.open(line.now, "back")
    sent = [b"%d" % i for i in range(30)]
    for data in sent:
        a.send(line.now, 0, data)
    a.start(line.now, True)
    b.start(line.now, False)
    line.run(60.0)
    for side in (0, 1):
        labels = {event.label for event in line.events[side] if isinstance(event, ChannelOpened)}
        assert labels == {"_reliable", "_lossy", "back"}, f"seed {seed}"
    assert [event.data for event in line.take(1) if isinstance(event, ChannelMessage)] == sent, f"seed {seed}"
