"""What the kernel reads of a payload: key frames, layers, and what legs need to rewrite or choose.

A reader is made per stream and payload type and called once per received packet, in order of arrival; readers widen picture
and frame numbers along the stream. The formats themselves are read by `sansio.rtp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

from ..rtp import DependencyDescriptor, RtpError, Structure, av1, dependency_descriptor, h264, h265, red, vp8, vp9
from ..seqnum import widen
from .interface import Codec, ExtensionIds

Vp8: TypeAlias = tuple[bytes, int, int, int, int, int, bool, bool, int]
"""The payload behind the descriptor, extended picture id, TL0PICIDX, temporal id, layer sync (0x20 or 0), KEYIDX (each -1
if absent, but layer sync), whether a picture starts here, whether it is a key frame, first byte."""

Red: TypeAlias = tuple[bytes, tuple[tuple[int, int, bytes], ...]]
"""The primary block, and of the redundant ones, oldest first: how many packets back, how much older, the block."""


class Layered(NamedTuple):
    """A packet with a dependency descriptor."""

    descriptor: DependencyDescriptor
    frame: int
    """Extended frame number."""
    key_frame: int
    """Extended number of the frame whose structure is in force."""
    structure: Structure
    active_targets: int
    """Mask of the decode targets that the sender produces."""
    raw: bytes
    rewritten: dict[int, bytes]
    """The descriptor by mask of decode targets, shared by the legs that want the same."""


class Reading(NamedTuple):
    """What a reader found in a payload. `info` is for legs of the codec's own mode."""

    starts_key_frame: bool
    width: int
    height: int
    spatial: int
    temporal: int
    info: object


NOTHING: Final = Reading(False, 0, 0, 0, 0, None)


class Unreadable:
    """The `info` of a packet whose layers should be known and are not: legs that choose layers drop it."""


UNREADABLE: Final = Reading(False, 0, 0, 0, 0, Unreadable())


class Reader(Protocol):
    """Reads the payloads of one stream and one codec."""

    def __call__(self, payload: bytes, extensions: dict[int, bytes], /) -> Reading: ...


def make_reader(codec: Codec, extensions: ExtensionIds) -> Reader | None:
    """A fresh reader; None for codecs of which nothing is read."""
    match codec:
        case Codec.VP8:
            return Vp8Reader()
        case Codec.VP9:
            return LayerReader(extensions.dependency_descriptor, _read_vp9)
        case Codec.AV1:
            return LayerReader(extensions.dependency_descriptor, _read_av1)
        case Codec.H264:
            return _read_h264
        case Codec.H265:
            return _read_h265
        case Codec.RED:
            return _read_red
        case _:
            return None


class Vp8Reader:
    """VP8 payload descriptors with picture ids widened; senders may change between 7 and 15 bits."""

    __slots__ = ("_picture",)

    def __init__(self) -> None:
        self._picture = -1

    def __call__(self, payload: bytes, extensions: dict[int, bytes], /) -> Reading:
        del extensions
        found = read_vp8(payload)
        if found is None:
            return NOTHING
        descriptor, info = found
        if descriptor.picture_id >= 0:
            info = (info[0], self._widen(descriptor.picture_id, descriptor.picture_id_bits), *info[2:])
        return Reading(descriptor.is_key_frame, descriptor.width, descriptor.height, 0, max(descriptor.tid, 0), info)

    def _widen(self, picture: int, bits: int) -> int:
        if self._picture < 0:
            # Room below for pictures that come late; pictures are never negative, which means absent.
            self._picture = picture + (1 << 15)
            return self._picture
        wide = widen(picture, self._picture, bits)
        if wide < 0:
            return picture
        self._picture = max(self._picture, wide)
        return wide


def read_vp8(payload: bytes) -> tuple[vp8.Vp8Descriptor, Vp8] | None:
    """The descriptor, and what a leg needs, with the picture id as sent; None for what is not VP8 or has no data."""
    try:
        descriptor = vp8.parse(payload)
    except RtpError:
        return None
    body = payload[descriptor.header_bytes :]
    if not body:
        return None
    first = payload[0]
    return descriptor, (
        body, descriptor.picture_id, descriptor.tl0_pic_idx, descriptor.tid, 0x20 if descriptor.layer_sync else 0,
        descriptor.key_index, first & 0x17 == 0x10, descriptor.is_key_frame, first,
    )  # fmt: skip


class LayerReader:
    """VP9 and AV1: by dependency descriptor where packets carry one, else by the payload."""

    __slots__ = ("_active_targets", "_extension", "_fallback", "_frame", "_key_frame", "_structure")

    def __init__(self, extension: int, fallback: Callable[[bytes], Reading]) -> None:
        self._extension = extension
        self._fallback = fallback
        self._structure: Structure | None = None
        self._active_targets = 0
        self._frame = self._key_frame = -1

    def __call__(self, payload: bytes, extensions: dict[int, bytes], /) -> Reading:
        raw = extensions.get(self._extension)
        if raw is None or not self._extension:
            return self._fallback(payload)
        try:
            descriptor = dependency_descriptor.parse(raw, self._structure)
        except RtpError:
            return UNREADABLE
        frame = self._widen(descriptor.frame_number)
        if descriptor.structure is not None and frame > self._key_frame:
            self._structure, self._key_frame = descriptor.structure, frame
        structure = self._structure
        if structure is None or frame < self._key_frame or descriptor.structure not in (None, structure):
            return UNREADABLE  # older than the structure, or one frame with two of them
        if descriptor.active_targets >= 0 and frame == self._frame:
            self._active_targets = descriptor.active_targets
        info = Layered(descriptor, frame, self._key_frame, structure, self._active_targets, raw, {})
        is_key = descriptor.structure is not None and descriptor.start_of_frame and not descriptor.frame_diffs
        width, height = structure.resolutions[-1] if is_key and structure.resolutions else (0, 0)
        if is_key and not width:
            _, width, height, *_ = self._fallback(payload)
        return Reading(is_key, width, height, descriptor.spatial_id, descriptor.temporal_id, info)

    def _widen(self, frame_number: int) -> int:
        if self._frame < 0:
            self._frame = frame_number + (1 << 16)
            return self._frame
        frame = widen(frame_number, self._frame)
        self._frame = max(self._frame, frame)
        return frame


def _read_vp9(payload: bytes) -> Reading:
    try:
        found = vp9.parse(payload)
    except RtpError:
        return UNREADABLE
    return Reading(found.is_key_frame, found.width, found.height, max(found.sid, 0), max(found.tid, 0), found)


def _read_av1(payload: bytes) -> Reading:
    if not av1.is_key_frame(payload):
        return NOTHING
    width, height = av1.key_frame_size(payload)
    return Reading(True, width, height, 0, 0, None)


def _read_h264(payload: bytes, extensions: dict[int, bytes]) -> Reading:
    del extensions
    if not h264.is_key_frame(payload):
        return NOTHING
    width, height = h264.key_frame_size(payload)
    return Reading(True, width, height, 0, 0, None)


def _read_h265(payload: bytes, extensions: dict[int, bytes]) -> Reading:
    del extensions
    if not h265.is_key_frame(payload):
        return Reading(False, 0, 0, 0, max(h265.temporal_id(payload), 0), None)
    width, height = h265.key_frame_size(payload)
    return Reading(True, width, height, 0, 0, None)


def _read_red(payload: bytes, extensions: dict[int, bytes]) -> Reading:
    del extensions
    try:
        *redundant, primary = red.parse(payload)
    except RtpError:
        return NOTHING
    count = len(redundant)
    older = tuple(
        (count - index, block.timestamp_offset, payload[block.start : block.end])
        for index, block in enumerate(redundant)
        if block.end > block.start
    )
    return Reading(False, 0, 0, 0, 0, (payload[primary.start : primary.end], older))
