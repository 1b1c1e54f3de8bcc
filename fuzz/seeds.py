"""Writes the seed corpora: small valid inputs of each kind, made by this project's own encoders.

    python fuzz/seeds.py

Seeds only need to exist; what fuzzing finds is added beside them by hand, under a name that says what it was.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sansio.entropy import SeededEntropy
from sansio.rtcp import Nack, Pli, ReceiverReport, Remb, ReportBlock, SenderReport, encode_compound
from sansio.rtp import encode_extensions, encode_packet, red, vp8
from sansio.sctp import Association
from sansio.sctp.dcep import Open
from sansio.sdp import Negotiation, Outgoing, TransportParameters, client_capabilities
from sansio.stun import Class, Message, encode
from sansio.wire import models, rtc

CORPUS = Path(__file__).parent / "corpus"
TRANSPORT = TransportParameters(ufrag="abcd", pwd="p" * 24, fingerprint=("sha-256", ":".join(["AB"] * 32)))


def write(target: str, *seeds: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number}").write_bytes(seed)


def counted(*blocks: bytes) -> bytes:
    """Blocks as `Choices.block` reads them: two bytes of length before each."""
    return b"".join(len(block).to_bytes(2, "big") + block for block in blocks)


def stun() -> bytes:
    message = Message(kind=Class.REQUEST, transaction_id=bytes(range(12)), username="abcd:efgh", priority=0x6E0000FF)
    return encode(message, b"key")


def offer() -> bytes:
    negotiation = Negotiation(session_id=1, capabilities=client_capabilities(), is_single=True)
    negotiation.add_receive("audio")
    negotiation.add_receive("video")
    negotiation.add_application()
    outgoing = Outgoing(stream_id="s", track_id="t", ssrc=1, rtx_ssrc=2, cname="c")
    negotiation.add_publish("video", outgoing, rids=("q", "h", "f"))
    return negotiation.offer(TRANSPORT).encode()


def rtp() -> list[bytes]:
    extension = encode_extensions(((1, b"0"), (3, b"\x85"), (4, b"\x00\x01")))
    descriptor = vp8.encode_descriptor(picture_id=7, tl0_pic_idx=1, tid=0, key_index=0, start_of_partition=True)
    key_frame = descriptor + b"\x10\x00\x00\x9d\x01\x2a\x40\x01\xb4\x00" + bytes(20)
    return [
        encode_packet(payload_type=96, sequence_number=1, timestamp=2, ssrc=3, payload=key_frame, extension=extension),
        encode_packet(payload_type=111, sequence_number=1, timestamp=2, ssrc=3, payload=b"\xf8\xff\xfe"),
    ]


def rtcp() -> list[bytes]:
    report = ReportBlock(ssrc=7, fraction_lost=1, cumulative_lost=2, highest_sequence_number=3, jitter=4)
    return [
        encode_compound([SenderReport(ssrc=1, ntp_timestamp=2, rtp_timestamp=3, reports=(report,))]),
        encode_compound(
            [ReceiverReport(ssrc=1, reports=(report,)), Nack(sender_ssrc=1, media_ssrc=2, sequence_numbers=(5, 7))]
        ),
        encode_compound([Pli(sender_ssrc=1, media_ssrc=2), Remb(sender_ssrc=1, bitrate_bps=300_000, ssrcs=(2,))]),
    ]


def sctp() -> list[bytes]:
    one = Association(entropy=SeededEntropy(3))
    one.start(0.0)
    init = one.poll_transmits()[0]
    return [b"\x00" + b"\x01" + counted(init), b"\x05\x01" + counted(init) * 2]


def data_packets() -> list[bytes]:
    user = models.DataPacket(user=models.UserPacket(payload=b"hi", topic="t", nonce=bytes(16)), sequence=1)
    header = models.DataStream.Header(stream_id="s", text_header=models.DataStream.TextHeader())
    stream = models.DataPacket(stream_header=header, participant_identity="bob")
    return [b"\0" + user.SerializeToString(), b"\1" + stream.SerializeToString()]


def main() -> None:
    write("stun", stun())
    write("sdp", offer())
    write("rtp", *rtp())
    write("rtcp", *rtcp())
    write("sctp", *sctp())
    write(
        "dcep",
        Open(label="_reliable").encode(),
        Open(label="_lossy", ordered=False, max_retransmits=0).encode(),
        b"\x02",
    )
    write("dependency_descriptor", counted(b"\xc0\x00\x01"), counted(b"\x80\x00\x01\x80\x00\x00"))
    write(
        "payloads",
        *(b"\x00" + packet[12:] for packet in rtp()),
        b"\x00" + red.encode(111, b"\xf8", [(111, 960, b"\xf8")]),
    )
    inner = rtc.JoinRequest(publisher_offer=rtc.SessionDescription(sdp="v=0"))
    joined = rtc.WrappedJoinRequest(join_request=inner.SerializeToString())
    write("join", b"\x01\x00" + counted(joined.SerializeToString()) + b"\x01", b"\x00\x02" + counted(b"17") + b"\x00")
    write("data_packet", *data_packets())
    write(
        "agents",
        # A worker connects, a room begins, somebody joins, the job is taken, its agent comes, the worker drops and comes back.
        bytes(
            [
                0,
                7,
                0,
                0,
                8,
                0,
                9,
                0,
                0,
                2,
                0,
                1,
                1,
                1,
                0,
                10,
                0,
                2,
                0,
                0,
                6,
                0,
                12,
                40,
                7,
                0,
                0,
                5,
                0,
                2,
                1,
                1,
                11,
                0,
                1,
            ]
        ),
        bytes(range(0, 255, 5)),
        bytes(range(250, 0, -3)),
    )
    write(
        "legs",
        b"\x01\x00" + b"\x04\x01\x01\x01\x02\x00\x01" + b"\x00\x00" + counted(rtp()[0][2:]) + b"\x05\x00\x00\x00",
    )
    # Long enough for calls of every kind. Beside them lie those that the fuzzer found to reach most of the kernel.
    write("twins", *(SeededEntropy(f"twins {number}")(1500) for number in range(6)))
    trickle = rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit="{}")).SerializeToString()
    write(
        "node",
        b"\x02" + counted(trickle) + b"\x01",
        b"\x00\x01\x01" + counted(stun()) + b"\x06\x10",
        b"\x04" + b"\x00" * 40,
    )


if __name__ == "__main__":
    main()
