"""RED and Opus: extraction with recovery, building, and translation of the types inside."""

from __future__ import annotations

import pytest
from rig import Peer, Rig, Rtp, kinds, write

from sansio.kernel import Codec, ExtensionIds, Kernel, Leg, LegMode, NoticeKind, StreamSpec
from sansio.rtp import red

OPUS, RED = 111, 63


def opus(index: int) -> bytes:
    return b"opus %d" % index


def red_payload(index: int, depth: int = 2) -> bytes:
    """The primary of `index` and, oldest first, what came before it."""
    return red.encode(OPUS, opus(index), [(OPUS, 960 * back, opus(index - back)) for back in range(depth, 0, -1)])


def blocks(payload: bytes) -> list[tuple[int, int, bytes]]:
    return [(one.payload_type, one.timestamp_offset, payload[one.start : one.end]) for one in red.parse(payload)]


class Talk:
    """A talker of RED (or Opus) and one listener, following from packet 0 (number 500) on."""

    def __init__(self, kernel: Kernel, mode: LegMode, payload_types: dict[int, int], red_type: int = 0) -> None:
        self.kernel = kernel
        self.rig = Rig(kernel)
        self.source_type = OPUS if mode is LegMode.OPUS_TO_RED else RED
        self.stream = kernel.add_stream(
            self.rig.publisher.session,
            StreamSpec(
                ssrc=0x1111, clock_rate=48000, is_audio=True, codecs={OPUS: Codec.OPUS, RED: Codec.RED},
                extensions=ExtensionIds(audio_level=1),
            ),
        )  # fmt: skip
        self.peer: Peer = self.rig.subscriber()
        self.leg = kernel.add_leg(
            Leg(
                session=self.peer.session, ssrc=0xAAAA, payload_types=payload_types, mode=mode, clock_rate=48000,
                extensions=ExtensionIds(), red_payload_type=red_type,
            )
        )  # fmt: skip
        self.send(0)
        kernel.switch(0.0, self.leg, self.stream, 500, 7000)
        (self.first,) = self.got()

    def send(self, *indices: int, payload: bytes | None = None, payload_type: int | None = None) -> None:
        packets = []
        for index in indices:
            default = opus(index) if self.source_type == OPUS else red_payload(index)
            packets.append(
                write(
                    500 + index, 960 * index, default if payload is None else payload,
                    payload_type=self.source_type if payload_type is None else payload_type,
                )
            )  # fmt: skip
        self.rig.publisher.send(0.02 * indices[0], *packets)

    def got(self) -> list[Rtp]:
        return self.rig.received(self.peer)

    def summary(self) -> list[tuple[int, int, int, bytes]]:
        """Steps of number and timestamp from the first packet, type, payload."""
        first = self.first
        return [
            (one.number - first.number, one.timestamp - first.timestamp, one.payload_type, one.payload)
            for one in self.got()
        ]


def test_primary_leaves_as_opus(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109, OPUS: 109})
    assert (talk.first.payload_type, talk.first.payload) == (109, opus(0))
    talk.send(1, 2)
    assert talk.summary() == [(1, 960, 109, opus(1)), (2, 1920, 109, opus(2))]


@pytest.mark.parametrize("lost", [1, 2])
def test_lost_packets_come_out_of_redundancy(kernel: Kernel, lost: int) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    talk.send(lost + 1)
    assert talk.summary() == [(i, 960 * i, 109, opus(i)) for i in range(1, lost + 2)]
    talk.send(1)  # what was recovered is not sent twice, nor another payload under its number
    assert talk.got() == []


def test_recovery_reaches_two_packets_back(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    talk.send(5)
    assert [step for step, *_ in talk.summary()] == [3, 4, 5]
    talk.send(2)
    assert [step for step, *_ in talk.summary()] == [2]


def test_packet_that_only_comes_late_is_not_recovered_within_its_burst(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    talk.send(2, 1)
    assert talk.summary() == [(2, 1920, 109, opus(2)), (1, 960, 109, opus(1))]


def test_block_with_a_wrong_time_is_not_used(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    talk.send(2, payload=red.encode(OPUS, opus(2), [(OPUS, 1920 + 960, opus(1))]))
    assert [step for step, *_ in talk.summary()] == [2]


def test_plain_opus_of_a_red_publisher_passes(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109, OPUS: 109})
    talk.send(1, payload=b"large", payload_type=OPUS)
    assert talk.summary() == [(1, 960, 109, b"large")]


def test_recovered_packet_is_never_sent_again_however_late(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    for index in range(2, 202, 2):
        talk.send(index)
    assert [step for step, *_ in talk.summary()] == list(range(1, 201))
    for index in range(1, 200, 2):
        talk.send(index)
    assert talk.got() == []


def test_malformed_red_leaves_no_hole(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    talk.send(1, payload=b"\xff\xff")
    talk.send(2, payload=red.encode(OPUS, opus(2)))
    assert [(step, payload) for step, _, _, payload in talk.summary()] == [(1, opus(2))]


def test_retransmission_is_the_extracted_primary(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    assert kernel.retransmit(1.0, talk.leg, [talk.first.number], 0.01) == 1
    ((_, data),) = talk.rig.datagrams()
    assert len(data) == 12 + len(opus(0)) + 16


def test_opus_is_wrapped_with_what_came_before(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.OPUS_TO_RED, {OPUS: 109}, red_type=70)
    assert (talk.first.payload_type, blocks(talk.first.payload)) == (70, [(109, 0, opus(0))])
    talk.send(1, 2, 4)
    got = talk.summary()
    assert [(step, payload_type) for step, _, payload_type, _ in got] == [(1, 70), (2, 70), (4, 70)]
    assert [blocks(payload) for *_, payload in got] == [
        [(109, 960, opus(0)), (109, 0, opus(1))],
        [(109, 1920, opus(0)), (109, 960, opus(1)), (109, 0, opus(2))],
        [(109, 1920, opus(2)), (109, 0, opus(4))],
    ]


def test_large_opus_is_not_wrapped(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.OPUS_TO_RED, {OPUS: 109}, red_type=70)
    talk.send(1, payload=bytes(1023))
    talk.send(2, payload=bytes(1024))
    talk.send(3, payload=bytes(700))
    got = talk.summary()
    assert [(payload_type, len(payload)) for _, _, payload_type, payload in got] == [
        (70, 1023 + 1 + 4 + len(opus(0))), (109, 1024), (70, 701),
    ]  # fmt: skip


def test_long_pause_is_not_bridged_by_redundancy(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.OPUS_TO_RED, {OPUS: 109}, red_type=70)
    talk.rig.publisher.send(1.0, write(501, 20000, b"dtx", payload_type=OPUS))
    assert [blocks(payload) for *_, payload in talk.summary()] == [[(109, 0, b"dtx")]]


def test_without_a_red_type_opus_stays_opus(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.OPUS_TO_RED, {OPUS: 109})
    assert (talk.first.payload_type, talk.first.payload) == (109, opus(0))


def test_red_passes_with_its_inner_types_translated(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.PLAIN, {RED: 70, OPUS: 109})
    talk.send(1)
    ((_, _, payload_type, payload),) = talk.summary()
    assert payload_type == 70
    assert blocks(payload) == [(109, 1920, opus(-1)), (109, 960, opus(0)), (109, 0, opus(1))]
    talk.send(2, payload=red.encode(13, b"x"))
    talk.send(3)
    assert [step for step, *_ in talk.summary()] == [2]


def test_red_with_the_same_types_passes_untouched(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.PLAIN, {RED: RED, OPUS: OPUS})
    talk.send(1, payload=b"\xff not red")
    assert [payload for *_, payload in talk.summary()] == [b"\xff not red"]


def test_audio_level_counts_time(kernel: Kernel) -> None:
    talk = Talk(kernel, LegMode.RED_TO_OPUS, {RED: 109})
    for index, level in enumerate((20, 80, 30, 127), 1):
        packet = write(
            500 + index, 960 * index, red_payload(index), payload_type=RED, extensions={1: bytes((level | 0x80,))}
        )
        assert NoticeKind.GAP not in kinds(talk.rig.publisher.send(0.02 * index, packet))
    assert kernel.take_audio_level(talk.stream, 35) == (80.0, 40.0, 20)
    assert kernel.take_audio_level(talk.stream, 35) == (0.0, 0.0, 127)
