"""Media that tells what it is: frames whose bytes say whose they are, which layer and which number, in real RTP payloads.

Each packet of a frame carries a `Stamp` and, behind it, filler that follows from the stamp, so that a receiver can tell whether
it got the right bytes whole. Nothing is coded: a picture is a VP8 payload descriptor (RFC 7741), the first bytes of a VP8
frame and stamps; a sound is an Opus table of contents byte and a stamp.

    VideoSource, AudioSource    what a camera and a microphone would give, frame by frame
    RtpSender                   one SSRC: numbering, header extensions, history for retransmission (RFC 4588), sender reports

Left out: other codecs, frames larger than some packets, bitrate control.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

import attrs

from ..entropy import Entropy, random_bits
from ..kernel import ExtensionIds
from ..rtcp import SenderReport
from ..rtp import encode_packet, vp8
from ..rtp.extensions import encode_audio_level, encode_extensions, encode_transport_cc

VIDEO_CLOCK_RATE = 90_000
AUDIO_CLOCK_RATE = 48_000
AUDIO_FRAME_S = 0.020

_MAGIC = b"\xa7\x15"
_STAMP = Struct("!2sIIIBBBBQ")
_MAX_BODY_BYTES = 1200
_MOST_BEFORE_BYTES = 32
"""Of payload descriptor and frame header before a stamp, and the magic itself."""
_OPUS_TOC = b"\xfc"  # CELT, 20 ms, full band, stereo (RFC 6716 §3.1)
_HISTORY = 1024
_EXTRA = 0x01
_KEY = 0x02


class Stamp(NamedTuple):
    """What every packet of a frame says of itself."""

    source: int
    """Of 32 bits; see `source_number`."""
    frame: int
    """From 0 on, the same in all layers of a picture."""
    captured_ms: int
    """On the source's clock."""
    layer: int
    flags: int
    part: int
    """Which packet of the frame."""
    parts: int
    """Packets of the frame."""
    sent_us: int = 0
    """When it was handed to the transport, on the clock of whoever drives the client; says how long it was under way."""

    @property
    def is_extra(self) -> bool:
        """Whether the frame is one before the first or after the last that count."""
        return bool(self.flags & _EXTRA)

    @property
    def is_key_frame(self) -> bool:
        return bool(self.flags & _KEY)


def source_number(identity: str, track: str) -> int:
    """The number that stands for a participant's track in its frames."""
    return int.from_bytes(blake2b(f"{identity}/{track}".encode(), digest_size=4).digest(), "big")


def stamped(stamp: Stamp, size_bytes: int) -> bytes:
    """A stamp, and filler up to that size."""
    start = (stamp.frame * 7 + stamp.part) & 63
    return _STAMP.pack(_MAGIC, *stamp) + _filler(stamp.source)[start : start + size_bytes - _STAMP.size]


def read_stamp(data: bytes, offset: int) -> Stamp | None:
    """The stamp at `offset`, if what follows belongs to it; None for anything else."""
    if len(data) < offset + _STAMP.size or data[offset : offset + 2] != _MAGIC:
        return None
    stamp = Stamp(*_STAMP.unpack_from(data, offset)[1:])
    return stamp if stamped(stamp, len(data) - offset) == data[offset:] else None


def find_stamp(data: bytes) -> Stamp | None:
    """The stamp of an RTP payload of any kind, whatever stands before it; None if there is none."""
    offset = data.find(_MAGIC, 0, _MOST_BEFORE_BYTES)
    while offset >= 0:
        stamp = read_stamp(data, offset)
        if stamp is not None:
            return stamp
        offset = data.find(_MAGIC, offset + 1, _MOST_BEFORE_BYTES)
    return None


def is_stamped(data: bytes, offset: int) -> bool:
    """Whether this claims to be of a simulated source."""
    return data[offset : offset + 2] == _MAGIC


@lru_cache(maxsize=1024)
def _filler(source: int) -> bytes:
    seed = blake2b(source.to_bytes(4, "big")).digest()
    return seed * (_MAX_BODY_BYTES // len(seed) + 3)


# Sources


@attrs.frozen(kw_only=True)
class VideoLayer:
    """One encoding of a picture."""

    rid: str
    width: int
    height: int
    packets: int
    """Of a frame; a key frame has three times as many."""
    packet_bytes: int = 400


ONE_LAYER = (VideoLayer(rid="", width=640, height=360, packets=2),)
SIMULCAST = (
    VideoLayer(rid="q", width=320, height=180, packets=1, packet_bytes=300),
    VideoLayer(rid="h", width=640, height=360, packets=1, packet_bytes=700),
    VideoLayer(rid="f", width=1280, height=720, packets=2, packet_bytes=900),
)


class Payload(NamedTuple):
    """One packet's payload."""

    data: bytes
    marker: bool


class VideoEncoder:
    """One layer of a video source."""

    __slots__ = ("_index", "_layer", "_picture_id", "_source", "_was_active", "is_active", "wants_key_frame")

    def __init__(self, source: int, index: int, layer: VideoLayer, entropy: Entropy) -> None:
        self._source = source
        self._index = index
        self._layer = layer
        self._picture_id = random_bits(entropy, 15)
        self._was_active = False
        self.is_active = True
        self.wants_key_frame = True

    def encode(self, frame: int, captured_ms: int, *, is_extra: bool, sent_us: int = 0) -> list[Payload]:
        """The frame in this layer; nothing while the layer is off."""
        was_active, self._was_active = self._was_active, self.is_active
        if not self.is_active:
            return []
        is_key_frame = self.wants_key_frame or not was_active
        self.wants_key_frame = False
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        count = self._layer.packets * (3 if is_key_frame else 1)
        flags = _EXTRA * is_extra | _KEY * is_key_frame
        payloads = []
        for index in range(count):
            stamp = Stamp(self._source, frame, captured_ms, self._index, flags, index, count, sent_us)
            head = vp8.encode_descriptor(start_of_partition=index == 0, picture_id=self._picture_id)
            header = self._frame_header(is_key_frame) if index == 0 else b""
            body = stamped(stamp, self._layer.packet_bytes - len(header))  # all packets of a frame are equally long
            payloads.append(Payload(head + header + body, index == count - 1))
        return payloads

    def _frame_header(self, is_key_frame: bool) -> bytes:
        """Frame tag, and the start code and size of a key frame (RFC 6386 §9.1)."""
        if not is_key_frame:
            return b"\x11\x00\x00"
        size = self._layer.width.to_bytes(2, "little") + self._layer.height.to_bytes(2, "little")
        return b"\x10\x00\x00\x9d\x01\x2a" + size


def encode_audio(source: int, frame: int, captured_ms: int, *, is_extra: bool, sent_us: int = 0) -> bytes:
    """An Opus packet of 20 ms."""
    stamp = Stamp(source, frame, captured_ms, 0, _EXTRA * is_extra, 0, 1, sent_us)
    return _OPUS_TOC + stamped(stamp, 70)


# Sending


class RtpSender:
    """One SSRC towards a server, with its RTX SSRC."""

    __slots__ = (
        "_entropy", "_first_timestamp", "_history", "_octets", "_packets", "_rtx_number", "extensions", "is_identified",
        "last_timestamp", "mid", "number", "payload_type", "rid", "rtx_payload_type", "rtx_ssrc", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, rtx_ssrc: int, entropy: Entropy) -> None:
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self.number = random_bits(entropy, 15)
        """Of the next packet, extended."""
        self._rtx_number = random_bits(entropy, 15)
        self._first_timestamp = random_bits(entropy, 31)
        self.last_timestamp = self._first_timestamp
        self._history: dict[int, tuple[int, bool, int, bytes]] = {}
        self._packets = self._octets = 0
        self.mid = ""
        self.rid = ""
        self.payload_type = 0
        self.rtx_payload_type = 0
        """0 where none was agreed: a lost packet then goes again as it was."""
        self.extensions = ExtensionIds()
        self.is_identified = False
        """Whether the peer has reported about this SSRC, so that mid and rid need not be repeated."""

    def encode(
        self, timestamp: int, payload: Payload, *, transport_number: int, payload_type: int | None = None,
        level: int | None = None,
    ) -> bytes:  # fmt: skip
        """The next packet, in plain. `timestamp` counts from the source's start; `level` is -dBov of audio."""
        number = self.number
        self.number += 1
        self.last_timestamp = self._first_timestamp + timestamp
        kind = self.payload_type if payload_type is None else payload_type
        self._history[number & 0xFFFF] = (self.last_timestamp, payload.marker, kind, payload.data)
        if len(self._history) > _HISTORY:
            del self._history[next(iter(self._history))]
        self._packets += 1
        self._octets += len(payload.data)
        return self._packet(number, self._elements(transport_number, level))

    def encode_again(self, number: int, *, transport_number: int) -> bytes | None:
        """A retransmission of that 16-bit number; None if it is not kept."""
        known = self._history.get(number)
        if known is None:
            return None
        if not (self.rtx_ssrc and self.rtx_payload_type):
            return self._packet(number, self._elements(transport_number, None))
        timestamp, marker, _, data = known
        self._rtx_number += 1
        ids = self.extensions
        # No report names the RTX SSRC, so it has to name itself for ever (libwebrtc does the same).
        elements = [(ids.transport_cc, encode_transport_cc(transport_number)), (ids.mid, self.mid.encode())]
        if self.rid:
            elements.append((ids.repaired_rid, self.rid.encode()))
        return encode_packet(
            payload_type=self.rtx_payload_type,
            sequence_number=self._rtx_number,
            timestamp=timestamp,
            ssrc=self.rtx_ssrc,
            payload=number.to_bytes(2, "big") + data,
            marker=marker,
            extension=encode_extensions(elements),
        )

    @property
    def sent(self) -> int:
        """Packets so far, without those that were sent again."""
        return self._packets

    def report(self, ntp_timestamp: int, timestamp: int) -> SenderReport | None:
        """A sender report for a moment whose timestamp (from the source's start) is known; None before anything was sent."""
        if not self._packets:
            return None
        return SenderReport(
            ssrc=self.ssrc,
            ntp_timestamp=ntp_timestamp,
            rtp_timestamp=(self._first_timestamp + timestamp) & 0xFFFFFFFF,
            packet_count=self._packets,
            octet_count=self._octets,
        )

    def _packet(self, number: int, elements: Sequence[tuple[int, bytes]]) -> bytes:
        timestamp, marker, payload_type, data = self._history[number & 0xFFFF]
        return encode_packet(
            payload_type=payload_type,
            sequence_number=number,
            timestamp=timestamp,
            ssrc=self.ssrc,
            payload=data,
            marker=marker,
            extension=encode_extensions(elements),
        )

    def _elements(self, transport_number: int, level: int | None) -> list[tuple[int, bytes]]:
        ids = self.extensions
        elements = [(ids.transport_cc, encode_transport_cc(transport_number))]
        if level is not None:
            elements.append((ids.audio_level, encode_audio_level(level < 127, level)))
        if not self.is_identified:
            elements.append((ids.mid, self.mid.encode()))
            if self.rid:
                elements.append((ids.rid, self.rid.encode()))
        return elements
