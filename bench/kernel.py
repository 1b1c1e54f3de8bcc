"""What forwarding one packet costs a kernel: one publisher to n subscribers, in process.

    python bench/kernel.py [--kernel native] [--seconds 1.0] [--subscribers 0,1,10,50,200]

Prints microseconds of CPU per forwarded packet: the kernel alone (authenticate and parse once, then per subscriber rewrite,
protect, and lay out for sending), and with the datagrams sent over loopback to sockets that nobody reads. `kernel` divides
the whole cost by the packets sent, so the cost of receiving shows at few subscribers and fades at many. The row of 0
subscribers is the cost of receiving alone, per received packet.
"""

from __future__ import annotations

import argparse
import gc
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from pylibsrtp import Policy, Session

from sansio.entropy import SeededEntropy
from sansio.kernel import Codec, ExtensionIds, Leg, LegMode, SrtpProfile, StreamSpec
from sansio.kernel.native import KernelMaker, choose_kernel
from sansio.rtp import Structure, dependency_descriptor, encode_extensions
from sansio.rtp.dependency_descriptor import Template

KEY_BYTES = {SrtpProfile.AES128_CM_SHA1_80: 30, SrtpProfile.AEAD_AES_128_GCM: 28}
BURST = 6
"""Packets of one video frame at 1.5 Mb/s and 25 frames/s."""
DESCRIPTOR_ID = 12
STRUCTURE = Structure(
    template_id_offset=0,
    decode_targets=2,
    templates=(
        Template(0, 0, (2, 2), (), (0, 0)),
        Template(0, 0, (2, 3), (2,), (2, 1)),
        Template(1, 0, (0, 2), (1,), (1, 1)),
        Template(1, 0, (0, 2), (2, 1), (1, 1)),
    ),
    chains=2,
    protected_by=(0, 1),
)


class Case(NamedTuple):
    name: str
    mode: LegMode
    codec: Codec
    bytes: int
    extensions: ExtensionIds
    burst: int


LAYERED = ExtensionIds(transport_cc=3, dependency_descriptor=5, mixed=True)
CASES = (
    Case("video 1200, VP8", LegMode.VP8, Codec.VP8, 1200, ExtensionIds(transport_cc=3, abs_send_time=4), BURST),
    Case("video 1200, plain", LegMode.PLAIN, Codec.OPAQUE, 1200, ExtensionIds(transport_cc=3), BURST),
    Case("video 1200, AV1 layers", LegMode.SVC, Codec.AV1, 1200, LAYERED, BURST),
    Case("audio 120, plain", LegMode.PLAIN, Codec.OPUS, 120, ExtensionIds(), 1),
)


class Bench:
    """A kernel with one stream and n legs, and a publisher that never runs out of packets."""

    def __init__(
        self, make: KernelMaker, case: Case, profile: SrtpProfile, subscribers: int, receiver: tuple[str, int]
    ) -> None:
        self.case = case
        self.kernel = make(SeededEntropy(1))
        size = KEY_BYTES[profile]
        self.publisher = self.kernel.open_session(profile, bytes(size), bytes(range(size)))
        policy = Policy(key=bytes(range(size)), ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=int(profile))
        self.srtp = Session(policy)
        self.number = self.picture = 0
        codecs = {96: case.codec}
        spec = StreamSpec(
            ssrc=1,
            clock_rate=90000,
            is_audio=case.codec is Codec.OPUS,
            codecs=codecs,
            extensions=ExtensionIds(dependency_descriptor=DESCRIPTOR_ID),
        )
        stream = self.kernel.add_stream(self.publisher, spec)
        self.kernel.ingest(0.0, self.publisher, self.burst())
        for index in range(subscribers):
            session = self.kernel.open_session(profile, bytes((index & 0xFF,)) * size, bytes(size))
            self.kernel.set_path(session, ("127.0.0.1", 7882), receiver)
            leg = Leg(
                session=session,
                ssrc=1000 + index,
                payload_types={96: 96},
                mode=case.mode,
                clock_rate=90000,
                extensions=case.extensions,
            )
            self.kernel.switch(0.0, self.kernel.add_leg(leg), stream, 0, 0)
        self.kernel.poll_transmits()

    def burst(self) -> list[bytes]:
        case = self.case
        packets = []
        for index in range(case.burst):
            header = struct.pack("!BBHII", 0x80, 96, self.number & 0xFFFF, self.picture * 3600 & 0xFFFFFFFF, 1)
            payload = bytes(case.bytes - 12 - (10 if case.extensions.transport_cc else 0))
            if case.codec is Codec.VP8:
                first = 0x90 if index == 0 else 0x80
                head = struct.pack("!BBHBBB", first, 0xF0, 0x8000 | self.picture & 0x7FFF, 1, 0, 1)
                payload = head + payload[len(head) :]
            elif case.codec is Codec.AV1:
                header = bytes((0x90,)) + header[1:] + self.describe(index)
            packets.append(bytes(self.srtp.protect(header + payload)))
            self.number += 1
        self.picture += 1
        return packets

    def describe(self, index: int) -> bytes:
        """The extension block of a packet of L2T1: frames of three packets."""
        frame, start = divmod(index, 3)
        is_key = self.picture == 0
        raw = dependency_descriptor.encode(
            STRUCTURE,
            template=2 * frame + (0 if is_key else 1),
            frame_number=self.picture * 2 + frame,
            start_of_frame=start == 0,
            end_of_frame=start == 2,
            attach=is_key and index == 0,
        )
        return encode_extensions([(DESCRIPTOR_ID, raw)], mixed=True)

    def run(self, seconds: float, send: Callable[[bytes | memoryview, tuple[str, int]], object] | None) -> float:
        """Microseconds of CPU per forwarded packet."""
        kernel, publisher = self.kernel, self.publisher
        spent = 0.0
        sent = received = 0
        while spent < seconds:
            bursts = [self.burst() for _ in range(16)]
            received += 16 * self.case.burst
            start = time.process_time()
            for burst in bursts:
                kernel.ingest(self.picture / 25, publisher, burst)
                for batch in kernel.poll_transmits():
                    arena = memoryview(batch.arena)
                    for _, remote, at, end, size in batch.runs:
                        sent += -(-(end - at) // size)
                        if send is not None:
                            for one in range(at, end, size):
                                send(arena[one : min(one + size, end)], remote)
            spent += time.process_time() - start
        return spent / (sent or received) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="", help="native or pure; without it the best that is here")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU time per measurement")
    parser.add_argument("--subscribers", default="0,1,10,50,200")
    arguments = parser.parse_args()
    chosen = choose_kernel(arguments.kernel)
    counts = [int(one) for one in arguments.subscribers.split(",")]
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    outlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print(f"{chosen.name} kernel: {chosen.reason}")
    print(f"{'us per forwarded packet':28}{'subscribers':>12}{'kernel':>9}{'+ sendto':>10}")
    for profile in (SrtpProfile.AEAD_AES_128_GCM, SrtpProfile.AES128_CM_SHA1_80):
        print(profile.name)
        for case in CASES:
            for count in counts:
                bench = Bench(chosen.make, case, profile, count, sink.getsockname())
                gc.collect()
                bench.run(arguments.seconds / 10, None)
                alone = bench.run(arguments.seconds, None)
                sending = bench.run(arguments.seconds, outlet.sendto)
                print(f"  {case.name:26}{count:12}{alone:9.2f}{sending:10.2f}")


if __name__ == "__main__":
    main()
