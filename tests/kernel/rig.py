"""A publisher, a kernel and subscribers, joined in memory; and how to write and read plain RTP in tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from pylibsrtp import Policy, Session

from sansio.kernel import Codec, ExtensionIds, Kernel, Leg, LegMode, Notice, NoticeKind, SrtpProfile, StreamSpec

KEY_BYTES = {
    SrtpProfile.AES128_CM_SHA1_80: 30,
    SrtpProfile.AEAD_AES_128_GCM: 28,
    SrtpProfile.AEAD_AES_256_GCM: 44,
}
GCM = SrtpProfile.AEAD_AES_128_GCM
SERVER = ("192.0.2.1", 7882)


class Rtp(NamedTuple):
    """A plain RTP packet, read back."""

    first: int
    marker: int
    payload_type: int
    number: int
    timestamp: int
    ssrc: int
    extensions: dict[int, bytes]
    payload: bytes
    padding: int
    raw: bytes


def write(
    number: int, timestamp: int, payload: bytes, *, ssrc: int = 0x1111, payload_type: int = 96, marker: bool = False,
    extensions: dict[int, bytes] | None = None, padding: int = 0, two_byte: bool = False, csrcs: int = 0,
) -> bytes:  # fmt: skip
    """An RTP packet in plain."""
    first = 0x80 | csrcs
    block = b""
    if extensions:
        first |= 0x10
        for key, value in extensions.items():
            block += (bytes((key, len(value))) if two_byte else bytes((key << 4 | len(value) - 1,))) + value
        block += bytes(-len(block) % 4)
        block = struct.pack("!HH", 0x1000 if two_byte else 0xBEDE, len(block) // 4) + block
    if padding:
        first |= 0x20
        payload += bytes(padding - 1) + bytes((padding,))
    second = payload_type | (0x80 if marker else 0)
    header = struct.pack("!BBHII", first, second, number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return header + bytes(4 * csrcs) + block + payload


def read(data: bytes) -> Rtp:
    """Parse a plain RTP packet, independently of the code under test."""
    first, second, number, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    at = 12 + 4 * (first & 15)
    extensions = {}
    if first & 0x10:
        profile, words = struct.unpack_from("!HH", data, at)
        block = data[at + 4 : at + 4 + 4 * words]
        at += 4 + 4 * words
        here = 0
        while here < len(block):
            if block[here] == 0:
                here += 1
            elif profile == 0xBEDE:
                size = (block[here] & 15) + 1
                extensions[block[here] >> 4] = block[here + 1 : here + 1 + size]
                here += 1 + size
            else:
                assert profile == 0x1000
                size = block[here + 1]
                extensions[block[here]] = block[here + 2 : here + 2 + size]
                here += 2 + size
    padding = data[-1] if first & 0x20 else 0
    payload = data[at : len(data) - padding]
    return Rtp(first, second >> 7, second & 127, number, timestamp, ssrc, extensions, payload, padding, data)


class Peer:
    """The far end of one kernel session, over libsrtp's own Python interface."""

    def __init__(self, kernel: Kernel, name: int, profile: SrtpProfile = GCM) -> None:
        size = KEY_BYTES[profile]
        server_key = bytes((name * 2 + i) & 0xFF for i in range(size))
        client_key = bytes((name * 2 + 1 + i * 3) & 0xFF for i in range(size))
        self.kernel = kernel
        self.session = kernel.open_session(profile, server_key, client_key)
        self.address = ("192.0.2.77", 10000 + name)
        kernel.set_path(self.session, SERVER, self.address)
        self.outbound = Session(_policy(client_key, Policy.SSRC_ANY_OUTBOUND, profile))
        self.inbound = Session(_policy(server_key, Policy.SSRC_ANY_INBOUND, profile))

    def protect(self, packet: bytes) -> bytes:
        return bytes(self.outbound.protect(packet))

    def send(self, now: float, *packets: bytes) -> list[Notice]:
        """Packets of this peer reach the kernel in one burst."""
        return self.kernel.ingest(now, self.session, [self.protect(packet) for packet in packets])

    def open(self, data: bytes) -> Rtp:
        return read(bytes(self.inbound.unprotect(data)))


class Rig:
    """A kernel, one publisher, and subscribers."""

    def __init__(self, kernel: Kernel, profile: SrtpProfile = GCM) -> None:
        self.kernel = kernel
        self.publisher = Peer(kernel, 1, profile)
        self.profile = profile
        self.subscribers: dict[tuple[str, int], Peer] = {}

    def subscriber(self) -> Peer:
        peer = Peer(self.kernel, 10 + len(self.subscribers), self.profile)
        self.subscribers[peer.address] = peer
        return peer

    def stream(
        self, codec: Codec = Codec.OPAQUE, *, ssrc: int = 0x1111, clock_rate: int = 90000, rtx_ssrc: int = 0,
        extensions: ExtensionIds | None = None, history: int = 512,
    ) -> int:  # fmt: skip
        """A stream of the publisher: payload type 96, RTX 97."""
        return self.kernel.add_stream(
            self.publisher.session,
            StreamSpec(
                ssrc=ssrc,
                clock_rate=clock_rate,
                is_audio=clock_rate == 48000,
                codecs={96: codec},
                extensions=extensions or ExtensionIds(),
                rtx_ssrc=rtx_ssrc,
                rtx_payload_types={97: 96},
                history=history,
            ),
        )

    def leg(
        self, peer: Peer, mode: LegMode = LegMode.PLAIN, *, ssrc: int = 0xAAAA, rtx_ssrc: int = 0,
        extensions: ExtensionIds | None = None, max_temporal: int = 7, max_spatial: int = 3, paused: bool = False,
        clock_rate: int = 90000, payload_types: dict[int, int] | None = None,
    ) -> int:  # fmt: skip
        return self.kernel.add_leg(
            leg_spec(
                peer, mode, ssrc=ssrc, rtx_ssrc=rtx_ssrc, extensions=extensions, max_temporal=max_temporal,
                max_spatial=max_spatial, paused=paused, clock_rate=clock_rate, payload_types=payload_types,
            )
        )  # fmt: skip

    def datagrams(self) -> list[tuple[tuple[str, int], bytes]]:
        return [(one.remote, bytes(one.data)) for batch in self.kernel.poll_transmits() for one in batch]

    def received(self, peer: Peer) -> list[Rtp]:
        """What a subscriber got since the last call; empties the others' too."""
        return [peer.open(data) for remote, data in self.datagrams() if remote == peer.address]


def leg_spec(
    peer: Peer, mode: LegMode = LegMode.PLAIN, *, ssrc: int = 0xAAAA, rtx_ssrc: int = 0,
    extensions: ExtensionIds | None = None, max_temporal: int = 7, max_spatial: int = 3, paused: bool = False,
    clock_rate: int = 90000, payload_types: dict[int, int] | None = None,
) -> Leg:  # fmt: skip
    return Leg(
        session=peer.session,
        ssrc=ssrc,
        payload_types=payload_types or {96: 106},
        mode=mode,
        clock_rate=clock_rate,
        extensions=extensions or ExtensionIds(),
        rtx_ssrc=rtx_ssrc,
        rtx_payload_types={106: 107} if rtx_ssrc else {},
        max_temporal=max_temporal,
        max_spatial=max_spatial,
        paused=paused,
    )


def kinds(notices: Sequence[Notice]) -> list[NoticeKind]:
    return [notice.kind for notice in notices]


def vp8(
    picture: int, tl0: int, temporal: int, *, key_index: int = 0, sync: bool = False, start: bool = True,
    key: bool = False, bits: int = 15, body: bytes = b"body",
) -> bytes:  # fmt: skip
    """A VP8 payload with the full descriptor."""
    first = 0x80 | (0x10 if start else 0)
    identifier = struct.pack("!H", 0x8000 | picture & 0x7FFF) if bits == 15 else bytes((picture & 0x7F,))
    descriptor = bytes((first, 0xF0)) + identifier + bytes((tl0 & 0xFF, temporal << 6 | sync << 5 | key_index & 31))
    if key:
        return descriptor + b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 640, 360) + body
    return descriptor + b"\x01" + body


class Vp8View(NamedTuple):
    start: bool
    picture: int
    tl0: int
    temporal: int
    key_index: int
    body: bytes


def read_vp8(payload: bytes) -> Vp8View:
    """Read a descriptor that must have all fields and a picture id of 15 bits."""
    assert payload[0] & 0x80
    assert payload[1] == 0xF0
    assert payload[2] & 0x80
    picture = struct.unpack_from("!H", payload, 2)[0] & 0x7FFF
    return Vp8View(bool(payload[0] & 0x10), picture, payload[4], payload[5] >> 6, payload[5] & 31, payload[6:])


def _policy(key: bytes, direction: int, profile: SrtpProfile) -> Policy:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=int(profile))
    policy.window_size = 1024
    policy.allow_repeat_tx = True
    return policy
