"""What peers can make a kernel hold is bounded: after a long flood no more memory is in use than after a short one."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import attrs
import pytest
from rig import GCM, KEY_BYTES, Peer, leg_spec, write
from sealing import Sealer

from sansio.kernel import Codec, ExtensionIds, Kernel, StreamSpec

WARMING, FLOOD, BURST = 9_000, 18_000, 500
MAX_GROWTH_BYTES = 1 << 20
"""Some 60 bytes for each datagram of a flood; the least that any of them could leave is a replay window of 128."""
MAX_GROWTH_OBJECTS = FLOOD // 10
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
IDS = ExtensionIds(transport_cc=3)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(LIBC, "mallinfo2"), reason="needs glibc 2.33, which says how much memory is in use"),
    pytest.mark.parametrize("make_kernel", ["native", "pure"], indirect=True),
]


class Call:
    """A publisher with a stream and a subscriber with a leg, which nobody polls for counters."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.publisher, self.subscriber = Peer(kernel, 1), Peer(kernel, 2)
        self.seal = Sealer(GCM, bytes((3 + one * 3) & 0xFF for one in range(KEY_BYTES[GCM])))
        spec = StreamSpec(ssrc=1, clock_rate=90000, is_audio=False, codecs={96: Codec.OPAQUE}, extensions=IDS)
        self.stream = kernel.add_stream(self.publisher.session, spec)
        self.spec = leg_spec(self.subscriber, rtx_ssrc=0xBBBB, extensions=IDS)
        self.leg = kernel.add_leg(self.spec)
        self.take([self.media(0)])
        kernel.switch(0.0, self.leg, self.stream, 0, 1)
        self.number = 0

    def take(self, datagrams: list[bytes]) -> None:
        self.kernel.ingest(0.0, self.publisher.session, datagrams)
        self.kernel.poll_transmits()
        self.kernel.poll_drops()

    def media(self, index: int, ssrc: int = 1) -> bytes:
        extensions = {3: (index & 0xFFFF).to_bytes(2, "big")}
        return self.seal.rtp(write(index, index * 90, b"x", ssrc=ssrc, extensions=extensions), index >> 16)

    # Floods: each yields once for each datagram or call

    def media_of_one(self) -> Iterator[bytes]:
        while True:
            self.number += 1
            yield self.media(self.number)

    def jumps(self) -> Iterator[bytes]:
        while True:
            self.number += 32_000
            yield self.media(self.number)
            self.number += 1
            yield self.media(self.number)  # by which the jump is believed

    def unknown_ssrcs(self) -> Iterator[bytes]:
        while True:
            self.number += 1
            yield self.media(1, 1000 + self.number)

    def malformed_of_many_ssrcs(self) -> Iterator[bytes]:
        while True:
            self.number += 1
            yield self.seal.rtp(b"\xa0" + write(1, 1, b"\xff", ssrc=1000 + self.number)[1:])

    def reports_of_many_ssrcs(self) -> Iterator[bytes]:
        while True:
            self.number += 1
            yield self.seal.rtcp(b"\x80\xc9\x00\x01" + (1000 + self.number).to_bytes(4, "big"), 1)

    def forged_of_many_ssrcs(self) -> Iterator[bytes]:
        while True:
            self.number += 1
            yield write(1, 1, bytes(40), ssrc=1000 + self.number)

    def nacks(self) -> Iterator[bytes]:
        while True:
            last = self.kernel.leg_stats(self.leg).last_sequence_number
            self.kernel.retransmit(0.0, self.leg, [(last - back) & 0xFFFF for back in range(16)], 0.0)
            self.number += 1
            yield self.media(self.number)

    def legs_of_many_ssrcs(self) -> Iterator[bytes]:
        while True:
            self.number += 1
            ssrc = 1_000_000 + self.number
            leg = self.kernel.add_leg(attrs.evolve(self.spec, ssrc=ssrc, rtx_ssrc=0))
            self.kernel.inject(0.0, leg, b"x", timestamp_step=1)
            self.kernel.send_rtcp(self.subscriber.session, b"\x80\xc8\x00\x01" + ssrc.to_bytes(4, "big"))
            self.kernel.remove_leg(leg)
            yield b""


FLOODS: list[Callable[[Call], Iterator[bytes]]] = [
    Call.media_of_one, Call.jumps, Call.unknown_ssrcs, Call.malformed_of_many_ssrcs, Call.reports_of_many_ssrcs,
    Call.forged_of_many_ssrcs, Call.nacks, Call.legs_of_many_ssrcs,
]  # fmt: skip


class MallInfo(ctypes.Structure):
    """mallinfo2(3)."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    ))  # fmt: skip


class Held(NamedTuple):
    """Memory in use, free memory of the process left out."""

    bytes: int
    """Of Rust and C."""
    objects: int
    """Of Python."""


def held() -> Held:
    assert LIBC is not None
    gc.collect()
    LIBC.mallinfo2.restype = MallInfo
    info = LIBC.mallinfo2()
    return Held(info.uordblks + info.hblkhd, sys.getallocatedblocks())


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_a_flood_leaves_nothing(kernel: Kernel, flood: Callable[[Call], Iterator[bytes]]) -> None:
    call = Call(kernel)
    datagrams = flood(call)
    for _ in range(WARMING // BURST):
        call.take(list(islice(datagrams, BURST)))
    before = held()
    for _ in range(FLOOD // BURST):
        call.take(list(islice(datagrams, BURST)))
    after = held()
    assert after.bytes - before.bytes < MAX_GROWTH_BYTES
    assert after.objects - before.objects < MAX_GROWTH_OBJECTS
