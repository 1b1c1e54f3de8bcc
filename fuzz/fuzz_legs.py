"""The kernel by operations: packets in, legs added, switched, set and removed, NACKs answered."""

from __future__ import annotations

from choices import Choices
from harness import main, make_kernel

from sansio.entropy import SeededEntropy
from sansio.kernel import Codec, ExtensionIds, Leg, LegMode, SrtpProfile, StreamSpec

KEY_BYTES = {SrtpProfile.AES128_CM_SHA1_80: 30, SrtpProfile.AEAD_AES_128_GCM: 28, SrtpProfile.AEAD_AES_256_GCM: 44}
IDS = ExtensionIds(mid=1, rid=2, audio_level=3, transport_cc=4, abs_send_time=5, dependency_descriptor=6, mixed=True)
CODECS = {96: Codec.VP8, 98: Codec.VP9, 100: Codec.AV1, 102: Codec.H264, 63: Codec.RED, 111: Codec.OPUS}
TARGETS = {payload_type: payload_type for payload_type in CODECS}
PATH = (("127.0.0.1", 1), ("127.0.0.1", 2))


def check(data: bytes) -> None:
    choices = Choices(data)
    kernel = make_kernel(SeededEntropy(1))
    profile = choices.pick(tuple(KEY_BYTES))
    keys = bytes(KEY_BYTES[profile])
    source, target = (kernel.open_session(profile, keys, keys) for _ in range(2))
    for session in (source, target):
        kernel.set_path(session, *PATH)
    spec = StreamSpec(ssrc=7, clock_rate=90_000, is_audio=choices.flag(), codecs=CODECS, extensions=IDS, history=64)
    stream = kernel.add_stream(source, spec)
    kernel.watch_key_frames(stream, True)
    legs: list[int] = []
    now = 0.0
    for _ in range(64):
        if not choices:
            break
        now += choices.number(64) / 256
        match choices.number(7):
            case 0 | 1 | 2:
                head = bytes([choices.pick((0x80, 0x90, 0xA0, 0xB0)), choices.pick((*CODECS, 97, 224))])
                tail = choices.block(200)
                packet = head + tail[:6].ljust(6, b"\0") + (7).to_bytes(4, "big") + tail[6:]
                kernel.inject_received(now, source, [packet])
            case 3:
                kernel.ingest(now, source, [choices.block(200)])
            case 4:
                mode = choices.pick(tuple(LegMode))
                legs.append(kernel.add_leg(Leg(
                    session=target, ssrc=100 + len(legs), payload_types=TARGETS, mode=mode, clock_rate=90_000, extensions=IDS,
                    max_temporal=choices.number(4), max_spatial=choices.number(4),
                )))  # fmt: skip
            case 5 if legs:
                position = kernel.stream_stats(stream).highest_position - choices.number(8)
                kernel.switch(now, choices.pick(legs), stream, max(position, 0), choices.number(1 << 32))
            case 6 if legs:
                numbers = [choices.number(1 << 16) for _ in range(choices.number(20))]
                kernel.retransmit(now, choices.pick(legs), numbers, 0.07)
        sizes = [len(transmit.data) for batch in kernel.poll_transmits() for transmit in batch]
        assert all(size <= 1600 for size in sizes)


if __name__ == "__main__":
    main(check)
