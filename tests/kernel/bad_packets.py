"""Packets for kernels as a source of choices says: of all codecs, nearly right, wrong in one place, or not packets at all."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Protocol, TypeVar

from rig import vp8, write
from sealing import Sealer

from sansio.kernel import Codec, ExtensionIds, SrtpProfile
from sansio.rtp import Structure, dependency_descriptor, red
from sansio.rtp.dependency_descriptor import Template

T = TypeVar("T")

CODECS = {
    96: Codec.VP8, 98: Codec.VP9, 100: Codec.AV1, 102: Codec.H264, 104: Codec.H265, 63: Codec.RED, 111: Codec.OPUS,
    0: Codec.OPAQUE,
}  # fmt: skip
RTX_TYPES = {97: 96, 112: 111}
RTX_OFFSET = 100
EVERYTHING = ExtensionIds(audio_level=1, transport_cc=2, abs_capture_time=4, dependency_descriptor=5, mixed=True)
SOURCES = (
    EVERYTHING,
    ExtensionIds(dependency_descriptor=5),
    ExtensionIds(),
)
STEPS = (
    *(1,) * 60, *(2,) * 4, 3, 3, 0, -1, -1, -2, -63, -64, -65, 70, 2500, 3000, 3001, -4000, -4001, -1024, -1025,
    32767, 32768, 65535, -65535, 65536,
)  # fmt: skip
"""Of sequence numbers, on both sides of every limit that a kernel knows."""
TIME_STEPS = (0, 0, 0, *(960,) * 6, *(3000,) * 6, -3000, 1 << 31, -(1 << 31))
LENGTHS = (0, 1, 2, 15, 16, 255)
"""Values of bytes that may be lengths."""
HEADS = {
    Codec.VP9: (b"\x88\x05", b"\x98", b"\x8a\x81\x00\x20\x01\x00\x00\x01\x49\x83\x42", b"\xab\x81\x02\x25\x07", b""),
    Codec.AV1: (b"\x18\x0a\x0b", b"\x28\x03\x08\x00\x00\x30\x10\x00", b"\x90", b"\x10", b""),
    Codec.H264: (b"\x67\x42\xc0\x1f\xda", b"\x78\x00\x05\x67\x42\xc0\x1f\xda", b"\x7c\x85", b"\x65", b""),
    Codec.H265: (b"\x42\x01\x01", b"\x60\x01\x00\x03\x42\x01\x01", b"\x62\x01\x93", b"\x26\x01", b""),
}
TRAILERS = (b"", b"", b"", b"ab\xf8LKTS", b"LKTS")


class Source(Protocol):
    """Where choices come from: a fuzzer's bytes, or hypothesis."""

    def __bool__(self) -> bool:
        """Whether there are more."""

    def number(self, limit: int) -> int:
        """0 .. limit-1."""

    def pick(self, items: Sequence[T]) -> T: ...

    def flag(self) -> bool: ...

    def block(self, most: int = ...) -> bytes:
        """Some bytes, not more than that."""


def layers(offset: int, spatial: int, temporal: int) -> Structure:
    """Frames of each layer, with a decode target for each and a chain for each spatial one."""
    pairs = [(one, two) for one in range(spatial) for two in range(temporal)]
    templates = (
        Template(one, two, tuple(2 if (one, two) <= pair else 0 for pair in pairs), (), (0,) * spatial)
        for one, two in pairs
    )
    return Structure(
        template_id_offset=offset, decode_targets=len(pairs), templates=tuple(templates), chains=spatial,
        protected_by=tuple(one for one, _ in pairs), resolutions=((320, 180), (640, 360), (1280, 720))[:spatial],
    )  # fmt: skip


class Packets:
    """What one sender makes, in plain."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.favourite = source.pick(tuple(CODECS))
        self._timestamps: dict[int, int] = {}
        self._frame = 65530
        self._structure = layers(0, 3, 1)
        self._is_announced = False

    def media(self, ssrc: int) -> bytes:
        """A packet that means well, and whose sequence number is not set yet."""
        source = self.source
        payload_type = source.pick((*(self.favourite,) * 20, *CODECS, *RTX_TYPES, 5))
        return self._write(ssrc, payload_type, self.payload(payload_type))

    def repair(self, ssrc: int, number: int) -> bytes:
        """A packet that says it was sent before, under that number."""
        repaired = self.favourite if self.favourite in RTX_TYPES.values() else 96
        payload_type = self.source.pick((*(one for one, other in RTX_TYPES.items() if other == repaired), *RTX_TYPES))
        return self._write(ssrc, payload_type, (number & 0xFFFF).to_bytes(2, "big") + self.payload(repaired))

    def _write(self, ssrc: int, payload_type: int, payload: bytes) -> bytes:
        source = self.source
        extensions = {}
        for _ in range(source.number(3)):
            value = source.block(7)
            if value:
                extensions[source.pick((1, 2, 3, 4, 14))] = value
        if CODECS.get(payload_type) in (Codec.VP9, Codec.AV1) and source.number(4):
            extensions[5] = self._descriptor()
        two_byte = source.flag() or not all(0 < len(value) <= 16 for value in extensions.values())
        timestamp = self._timestamps[ssrc] = self._timestamps.get(ssrc, (1 << 32) - 9000) + source.pick(TIME_STEPS)
        return write(
            0, timestamp, payload, ssrc=ssrc, payload_type=payload_type, marker=source.flag(), extensions=extensions,
            two_byte=two_byte, padding=source.pick((0, 0, 0, 3)), csrcs=source.pick((0, 0, 0, 2)),
        )  # fmt: skip

    def payload(self, payload_type: int) -> bytes:
        source = self.source
        codec = CODECS.get(payload_type, Codec.OPAQUE)
        match codec:
            case Codec.VP8 if source.number(6):
                return vp8(
                    32700 + source.number(128), 250 + source.number(10), source.number(4), key_index=source.number(32),
                    sync=source.flag(), start=source.flag(), key=source.flag(), bits=source.pick((7, 15)),
                )  # fmt: skip
            case Codec.RED if source.number(6):
                kinds = (111, 111, 5)
                count = source.number(3)
                blocks = [(source.pick(kinds), source.number(3000), source.block(16)) for _ in range(count)]
                return red.encode(source.pick(kinds), source.block(16), blocks)
            case Codec.VP9 if source.number(4):
                return self._vp9() + source.block(24)
        return source.pick(HEADS.get(codec, (b"",))) + source.block(24) + source.pick(TRAILERS)

    def _vp9(self) -> bytes:
        """A payload descriptor with layers (RFC 9628 §4.2)."""
        source = self.source
        is_inter_picture, limits = source.flag(), source.number(4) << 2
        layer = source.number(4) << 5 | source.number(2) << 4 | source.number(3) << 1 | source.number(2)
        return struct.pack(
            "!BHBB", 0xA0 | is_inter_picture << 6 | limits, 0x8000 | source.number(128), layer, source.number(8)
        )

    def damaged(self, packet: bytes) -> bytes:
        """Wrong in some places; the version stays 2, or nobody would look further."""
        source = self.source
        changed = bytearray(packet)
        for _ in range(1 + source.number(3)):
            at = source.number(len(changed)) if changed else 0
            match source.number(7):
                case 0 if changed:
                    changed[at] = source.pick(LENGTHS)
                case 1 if changed:
                    changed[at] ^= 1 << source.number(8)
                case 2:
                    del changed[at:]
                case 3:
                    changed[at:at] = source.block(20)
                case 4 if changed:  # padding, an extension, contributing sources that are not there
                    changed[0] = 0x80 | source.number(64)
                case 5 if len(changed) > 12:  # a block of extensions where there was payload
                    changed[0] |= 0x10
                    form = source.pick((b"\xbe\xde", b"\x10\x00", b"\x10\x05", b"\x00\x00"))
                    body = source.block(40)
                    words = (len(body) // 4 + source.pick((0, 0, 1, 100))) & 0xFFFF
                    changed[12:12] = form + words.to_bytes(2, "big") + body
                case 6 if changed:
                    changed[-1] = source.pick(LENGTHS)
        if changed:
            changed[0] = changed[0] & 0x3F | 0x80
        return bytes(changed)

    def _descriptor(self) -> bytes:
        source = self.source
        is_attached = not self._is_announced or source.number(6) == 0
        if is_attached:
            self._structure = layers(source.number(64), 1 + source.number(3), 1 + source.number(3))
            self._is_announced = True
        structure = self._structure
        self._frame += source.pick((0, 1, 1, 1, 2, -1))
        raw = dependency_descriptor.encode(
            structure, template=source.number(len(structure.templates)), frame_number=self._frame & 0xFFFF,
            start_of_frame=source.flag(), end_of_frame=source.flag(), attach=is_attached,
            active_targets=source.pick((-1, -1, 0, 1, (1 << structure.decode_targets) - 1)),
            frame_diffs=[] if is_attached else [1 + source.number(300) for _ in range(source.number(3))],
            chain_diffs=[source.number(256) for _ in range(structure.chains)] if source.flag() else None,
        )  # fmt: skip
        return self.damaged(raw)[:255] if source.number(8) == 0 and len(raw) > 3 else raw


class Sender:
    """The far end of a session: seals what it has to say, at indices that go on, jump or repeat."""

    def __init__(self, source: Source, profile: SrtpProfile, key: bytes) -> None:
        self.source = source
        self.packets = Packets(source)
        self._sealer = Sealer(profile, key)
        self._indices: dict[int, int] = {}
        self._report = 0

    def say(self, ssrc: int) -> bytes:
        """In plain: media, or RTX for a stream whose SSRC is smaller by `RTX_OFFSET`."""
        repaired = self._indices.get(ssrc - RTX_OFFSET)
        if repaired is None or self.source.number(8) == 0:
            return self.packets.media(ssrc)
        return self.packets.repair(ssrc, repaired - self.source.pick((1, 1, 2, 2, 3, 4, 5, 20, 300, -1)))

    def seal(self, packet: bytes) -> bytes:
        """As SRTP, under the next sequence number or another one; what is too short for that goes as it is."""
        if len(packet) < 12:
            return packet
        source, ssrc = self.source, int.from_bytes(packet[8:12], "big")
        last = self._indices.get(ssrc)
        if last is None:
            last = self._indices[ssrc] = source.pick((0, 100, 32767, 32768, 65530))
        index = max(0, last + source.pick(STEPS))
        self._indices[ssrc] = max(last, index)
        numbered = packet[:2] + (index & 0xFFFF).to_bytes(2, "big") + packet[4:]
        cycle = (index >> 16) + source.pick((*(0,) * 30, 1, -1))
        return self._sealer.rtp(numbered, cycle)

    def report(self) -> bytes:
        """As SRTCP: a NACK, or anything."""
        source = self.source
        if source.flag():
            packet = struct.pack("!BBHII", 0x81, 205, 3, source.number(4), 1000) + source.block(4).ljust(4, b"\0")
        else:
            packet = bytes((0x80, 192 + source.number(32))) + source.block(60).ljust(6, b"\0")
        self._report = max(0, self._report + source.pick((1, 1, 1, 1, 0, -1, -127, -128, 200, 1 << 30)))
        return self._sealer.rtcp(packet, self._report, is_encrypted=source.number(4) > 0)

    def flood(self, first_ssrc: int, count: int) -> list[bytes]:
        """One packet each of so many SSRCs, every third of which is malformed, and some RTCP."""
        sealed = []
        for ssrc in range(first_ssrc, first_ssrc + count):
            if ssrc % 8 == 7:
                sealed.append(self._sealer.rtcp(b"\x80\xc9\x00\x01" + ssrc.to_bytes(4, "big"), 1))
            else:
                packet = write(1, 1, b"\xff", ssrc=ssrc)
                sealed.append(self._sealer.rtp(b"\xa0" + packet[1:] if ssrc % 3 == 0 else packet))
        return sealed
