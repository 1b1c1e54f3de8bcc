"""Streams with layers inside one SSRC: which packets a leg forwards (VP9, AV1).

With a dependency descriptor (AV1 RTP specification, annex A) the choice is made frame by frame, once per leg. A *decode
target* is a set of frames that make up a layer; a *chain* is the sequence of frames that must be intact for a target. The
leg takes the highest target within its ceilings that the sender produces and whose chain is whole: no frame of it was
dropped here. A frame that the target does not need, or that refers to a dropped one, is dropped. Going up so happens where
a chain begins anew, and never breaks a picture. The descriptor leaves with the mask of the targets that remain, or decoders
would wait for layers that never come; `LegState` renumbers its frames.

Without one, VP9 is judged by its payload descriptor (RFC 9628 §4.2): up in time at a switching point, up in space where a
frame does not refer to earlier pictures, down at the next picture. The marker is set on what becomes the last packet of a
picture, since the sender's sits on a layer that may be gone. AV1 without a descriptor passes as it is.

A leg that cannot go on, or not as high as it should, says so (LEG_NEEDS_KEY_FRAME), again after a while if nothing comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ..rtp import Structure, Vp9Descriptor, dependency_descriptor
from .interface import Notice, NoticeKind
from .legs import LegState
from .packets import Packet
from .payloads import Layered, Unreadable

if TYPE_CHECKING:
    from .receive import Stream

_MAX_DECISIONS: Final = 256
_MAX_DESCRIPTOR_BYTES: Final = 255
"""What a header extension holds; one that grows beyond goes on as it came."""
_REMINDER: Final = 0.5  # s between two requests for a key frame


class SvcMode:
    """The layered side of one leg."""

    __slots__ = ("_descriptors", "_is_narrowed", "_leg", "_reminded", "_source_id", "_vp9", "spatial", "temporal")

    def __init__(self, leg: LegState) -> None:
        self._leg = leg
        self._descriptors = DescriptorSelector()
        self._vp9 = Vp9Selector()
        self._reminded = float("-inf")
        self._source_id = 0
        self._is_narrowed = False  # decoders were told of fewer targets than the sender produces
        self.spatial = self.temporal = -1

    def forward(self, now: float, packets: Iterable[Packet]) -> None:
        leg = self._leg
        if leg.hold(packets):
            return
        for position, timestamp, marker, payload_type, payload, passed, info in packets:
            first = leg.types.get(payload_type, 0) if payload else 0
            wanted = first > 0 and position >= leg.base and self._wants(now, position, timestamp, info)
            if payload and not wanted:
                leg.dropped += 1
            placed = leg.place(now, position, timestamp, wanted)
            if placed is None:
                continue
            if not wanted:
                leg.fill(now, placed[0], placed[1])
                continue
            if type(info) is Layered:
                if info.descriptor.end_of_frame and info.descriptor.spatial_id == self._descriptors.layers[0]:
                    marker = 0x80
                passed = self._narrow(passed, info)
            elif type(info) is Vp9Descriptor and info.end_of_frame and info.sid == self._vp9.ceiling:
                marker = 0x80
            leg.send(now, placed[0], placed[1], first | marker, b"", payload, passed)

    def handle_switch(self, stream: Stream) -> None:
        self._descriptors = DescriptorSelector()
        self._vp9 = Vp9Selector()
        self._source_id = stream.spec.extensions.dependency_descriptor
        self._reminded = float("-inf")

    def adopt(self, payload: bytes) -> tuple[bytes, bytes]:
        return b"", payload

    def _wants(self, now: float, position: int, timestamp: int, info: object) -> bool:
        spec = self._leg.spec
        selector: DescriptorSelector | Vp9Selector
        if type(info) is Layered:
            selector = self._descriptors
            wanted = self._descriptors.wants(info, spec.max_spatial, spec.max_temporal)
        elif type(info) is Vp9Descriptor:
            selector = self._vp9
            in_order = position > self._leg.highest
            wanted = self._vp9.wants(info, timestamp, in_order, spec.max_spatial, spec.max_temporal)
        else:
            return type(info) is not Unreadable
        if selector.needs_key_frame:
            self._remind(now)
        if wanted and selector.layers != (self.spatial, self.temporal):
            self._tell(*selector.layers)
        return wanted

    def _remind(self, now: float) -> None:
        if now - self._reminded < _REMINDER:
            return
        self._reminded = now
        leg = self._leg
        stream = -1 if leg.stream is None else leg.stream.slot
        leg.notices.append(Notice(NoticeKind.LEG_NEEDS_KEY_FRAME, stream, leg.slot, ssrc=leg.spec.ssrc))

    def _tell(self, spatial: int, temporal: int) -> None:
        self.spatial, self.temporal = spatial, temporal
        leg = self._leg
        stream = -1 if leg.stream is None else leg.stream.slot
        kind = NoticeKind.MARKED_SWITCH
        leg.notices.append(Notice(kind, stream, leg.slot, ssrc=leg.spec.ssrc, spatial=spatial, temporal=temporal))

    def _narrow(self, passed: dict[int, bytes] | None, info: Layered) -> dict[int, bytes] | None:
        """The extensions with the mask of what this leg forwards, on packets that bring no structure of their own. It is
        left out as long as the sender's own mask says the same."""
        mask = self._descriptors.mask
        if passed is None:
            return None
        if info.descriptor.structure is not None:
            self._is_narrowed = False
            return passed
        if mask == info.active_targets and not self._is_narrowed:
            return passed
        self._is_narrowed = True
        raw = info.rewritten.get(mask)
        if raw is None:
            targets = info.structure.decode_targets
            raw = dependency_descriptor.rewrite(info.raw, info.descriptor, info.frame, mask, targets)
            if len(raw) > _MAX_DESCRIPTOR_BYTES:
                raw = info.raw
            info.rewritten[mask] = raw
        return {**passed, self._source_id: raw}


class DescriptorSelector:
    """Decides by dependency descriptors, for one leg and one source."""

    __slots__ = (
        "_broken", "_decisions", "_expected", "_structure", "layers", "mask", "needs_key_frame",
    )  # fmt: skip

    def __init__(self) -> None:
        self._decisions: dict[int, bool] = {}  # by extended frame number, oldest first
        self._expected: dict[int, list[int]] = {}  # frames not seen yet, to the chains that break without them
        self._broken: list[bool] = []  # by chain
        self._structure: Structure | None = None
        self.needs_key_frame = False
        self.layers = (-1, -1)
        """Spatial and temporal layer of the target that is followed."""
        self.mask = 0
        """Decode targets that remain whole on this leg."""

    def wants(self, info: Layered, max_spatial: int, max_temporal: int) -> bool:
        """Whether the frame of this packet is forwarded; the same answer for all its packets."""
        if info.structure is not self._structure:
            if info.frame != info.key_frame:
                self.needs_key_frame = True
                return False
            self._begin(info.structure)
        known = self._decisions.get(info.frame)
        if known is not None:
            return known
        self._follow_chains(info)
        decided = self._decide(info, max_spatial, max_temporal)
        self._remember(info.frame, decided)
        return decided

    def _begin(self, structure: Structure) -> None:
        """A key frame with a structure: whatever came before is of no more account."""
        self._structure = structure
        self._decisions.clear()
        self._expected.clear()
        self._broken = [False] * structure.chains

    def _follow_chains(self, info: Layered) -> None:
        for chain, difference in enumerate(info.descriptor.chain_diffs[: len(self._broken)]):
            if difference == 0:
                self._broken[chain] = False
            elif not self._broken[chain]:
                before = self._decisions.get(info.frame - difference)
                if before is None:
                    self._expected.setdefault(info.frame - difference, []).append(chain)
                elif not before:
                    self._broken[chain] = True

    def _decide(self, info: Layered, max_spatial: int, max_temporal: int) -> bool:
        descriptor, structure = info.descriptor, info.structure
        target, best = self._pick(info, max_spatial, max_temporal)
        if target < 0:
            self.needs_key_frame = True
            return False
        self.layers = structure.target_layers[target]
        self.needs_key_frame = structure.target_layers[best][0] > self.layers[0]
        self.mask = structure.mask_for(*self.layers) & info.active_targets
        if not descriptor.indications[target]:
            return False
        return not any(self._decisions.get(info.frame - back) is False for back in descriptor.frame_diffs)

    def _pick(self, info: Layered, max_spatial: int, max_temporal: int) -> tuple[int, int]:
        """The highest target that can be had, and the highest that is wanted; -1 where there is none."""
        structure = info.structure
        layers = structure.target_layers
        wanted = [
            target
            for target, (spatial, temporal) in enumerate(layers)
            if spatial <= max_spatial and temporal <= max_temporal and info.active_targets >> target & 1
        ]
        whole = [target for target in wanted if self._is_whole(structure, target)]
        return max(whole, key=layers.__getitem__, default=-1), max(wanted, key=layers.__getitem__, default=-1)

    def _is_whole(self, structure: Structure, target: int) -> bool:
        return not structure.chains or not self._broken[structure.protected_by[target]]

    def _remember(self, frame: int, decided: bool) -> None:
        self._decisions[frame] = decided
        chains = self._expected.pop(frame, None)
        if chains and not decided:
            for chain in chains:
                self._broken[chain] = True
        for memory in (self._decisions, self._expected):
            while len(memory) > _MAX_DECISIONS:
                del memory[next(iter(memory))]


class Vp9Selector:
    """Decides by VP9 payload descriptors, for one leg and one source."""

    __slots__ = ("_picture", "_started", "_temporal_ceiling", "_top", "ceiling", "layers", "needs_key_frame")

    def __init__(self) -> None:
        self._started = False
        self._picture = -1  # timestamp of the newest picture
        self._temporal_ceiling = -1
        self._top = 0  # spatial layer forwarded of the newest picture
        self.ceiling = -1
        """The highest spatial layer that passes."""
        self.needs_key_frame = False
        self.layers = (-1, -1)
        """Highest spatial layer of the last whole picture, highest temporal layer forwarded."""

    def wants(self, found: Vp9Descriptor, timestamp: int, in_order: bool, max_spatial: int, max_temporal: int) -> bool:
        """Whether a packet is forwarded. Only packets in order move the ceilings."""
        spatial, temporal = max(found.sid, 0), max(found.tid, 0)
        if in_order and not self._advance(found, timestamp, max_spatial, max_temporal):
            return False
        if not self._started or spatial > self.ceiling or temporal > self._temporal_ceiling:
            return False
        if in_order:
            self._top = max(self._top, spatial)
            if temporal > self.layers[1] >= 0:
                self.layers = (self.layers[0], temporal)
        return True

    def _advance(self, found: Vp9Descriptor, timestamp: int, max_spatial: int, max_temporal: int) -> bool:
        """Follow the stream by one packet; False while there is nothing to start from."""
        if found.is_key_frame and timestamp != self._picture:
            # All layers of a key picture build on this frame.
            self._started = True
            self.needs_key_frame = False
            self.ceiling, self._temporal_ceiling = max_spatial, max_temporal
        if not self._started:
            self.needs_key_frame = True
            return False
        if timestamp != self._picture:
            self._begin_picture(timestamp, max_spatial, max_temporal)
        if found.begin_of_frame:
            self._rise(found, max_spatial, max_temporal)
        return True

    def _begin_picture(self, timestamp: int, max_spatial: int, max_temporal: int) -> None:
        if self._picture >= 0:
            self.layers = (self._top, min(max(self.layers[1], 0), max_temporal))
        self._picture = timestamp
        self._top = 0
        self.needs_key_frame = False
        self.ceiling = min(self.ceiling, max_spatial)
        self._temporal_ceiling = min(self._temporal_ceiling, max_temporal)

    def _rise(self, found: Vp9Descriptor, max_spatial: int, max_temporal: int) -> None:
        if self._temporal_ceiling < found.tid <= max_temporal and found.switching_up:
            self._temporal_ceiling = found.tid
        if self.ceiling < found.sid <= max_spatial:
            if found.is_inter_picture:
                self.needs_key_frame = True
            else:
                self.ceiling = found.sid
                self.needs_key_frame = False
