"""The dependency descriptor: which layers a frame belongs to and what it needs. AV1 RTP specification, annex A.

A key frame carries a *structure*: templates that later descriptors name, instead of saying everything again. Whoever
reads a stream keeps the last structure it saw. What a descriptor says of its frame is then the template's fields, each
replaced where the descriptor has a custom one.

Three things change on the way through a forwarder, and `rewrite` makes them in the bits of the original: the frame
number, the mask of active decode targets, and nothing else.

Limits (annex A.4): 64 templates, 32 decode targets, 4 spatial and 8 temporal ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import attrs

from ..errors import LocalProtocolError
from .bits import BitReader, BitWriter
from .packet import Buffer, RtpError

MAX_TEMPLATES = 64
MAX_SPATIAL_ID = 3
MAX_TEMPORAL_ID = 7
MANDATORY_BYTES = 3

_FLAG_BITS = 5
_MASK_FLAG_AT = 25
# The flags, as they lie in the fourth byte:
_HAS_STRUCTURE, _HAS_MASK = 0x80, 0x40
_HAS_INDICATIONS, _HAS_FRAME_DIFFS, _HAS_CHAIN_DIFFS = 0x20, 0x10, 0x08
_HAS_CUSTOM_FIELDS = 0x38
_new_tuple = tuple.__new__


class Indication(IntEnum):
    """What a frame is to a decode target (annex A.8.3.2)."""

    ABSENT = 0
    DISCARDABLE = 1
    SWITCH = 2
    REQUIRED = 3


class _NextLayer(IntEnum):
    """How a template's layer follows from that of the template before (annex A.8.3.3)."""

    SAME = 0
    TEMPORAL = 1
    SPATIAL = 2
    NONE = 3


class Template(NamedTuple):
    spatial_id: int
    temporal_id: int
    indications: tuple[int, ...]
    """`Indication` values by decode target."""
    frame_diffs: tuple[int, ...]
    """How many frame numbers back the referred frames lie."""
    chain_diffs: tuple[int, ...]
    """By chain: how many frame numbers back the chain's previous frame lies; 0 if there is none."""


@attrs.frozen(kw_only=True)
class Structure:
    """The template dependency structure of a coded video sequence."""

    template_id_offset: int
    decode_targets: int
    templates: tuple[Template, ...]
    chains: int = 0
    protected_by: tuple[int, ...] = ()
    """By decode target: the chain whose intact frames suffice to decode it. Empty without chains."""
    resolutions: tuple[tuple[int, int], ...] = ()
    """(width, height) by spatial id; empty if not told."""
    target_layers: tuple[tuple[int, int], ...] = attrs.field(init=False, eq=False)
    """By decode target: the greatest (spatial id, temporal id) of frames in it."""
    _masks: dict[tuple[int, int], int] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        layers = tuple(self._layer_of(target) for target in range(self.decode_targets))
        object.__setattr__(self, "target_layers", layers)

    def _layer_of(self, target: int) -> tuple[int, int]:
        inside = [template for template in self.templates if template.indications[target] != Indication.ABSENT]
        spatial_id = max((template.spatial_id for template in inside), default=0)
        return spatial_id, max((template.temporal_id for template in inside), default=0)

    @property
    def all_targets(self) -> int:
        """The mask in which every decode target is active."""
        return (1 << self.decode_targets) - 1

    @property
    def max_spatial_id(self) -> int:
        return max(template.spatial_id for template in self.templates)

    @property
    def max_temporal_id(self) -> int:
        return max(template.temporal_id for template in self.templates)

    def mask_for(self, max_spatial: int, max_temporal: int) -> int:
        """The mask of the decode targets that lie within the given layers. Remembered: it is asked for frame by frame."""
        mask = self._masks.get((max_spatial, max_temporal))
        if mask is None:
            mask = 0
            for target, (spatial_id, temporal_id) in enumerate(self.target_layers):
                if spatial_id <= max_spatial and temporal_id <= max_temporal:
                    mask |= 1 << target
            self._masks[max_spatial, max_temporal] = mask
        return mask


class DependencyDescriptor(NamedTuple):
    """What a packet's descriptor says of its frame, with the template's fields filled in."""

    start_of_frame: bool
    end_of_frame: bool
    template_id: int
    """As on the wire; relative to the structure's `template_id_offset`, modulo 64."""
    frame_number: int
    structure: Structure | None
    """The one attached to this packet; the one that was used is whatever was passed in then."""
    active_targets: int
    """Mask of active decode targets (bit 0 is target 0), -1 if the descriptor does not speak of it."""
    spatial_id: int
    temporal_id: int
    indications: tuple[int, ...]
    frame_diffs: tuple[int, ...]
    chain_diffs: tuple[int, ...]
    width: int
    """Of the frame's spatial layer; 0 if the structure tells none."""
    height: int
    mask_at: int
    """Where, in bits, the mask is or would be inserted; 0 in descriptors of 3 bytes."""
    bits: int
    """How many bits say something; the rest is padding."""


def parse(data: Buffer, structure: Structure | None) -> DependencyDescriptor:
    """Read a descriptor; `structure` is the last one of its stream.

    Raises RtpError if it is cut short, names a template that the structure has not, or there is no structure yet.
    """
    if len(data) < MANDATORY_BYTES:
        raise RtpError("dependency descriptor cut short")
    if len(data) > MANDATORY_BYTES:
        return _parse_extended(data, structure)
    if structure is None:
        raise RtpError("dependency descriptor before its structure")
    return _describe(data, structure, None, -1, _template(data, structure), 0, 8 * MANDATORY_BYTES)


def peek_structure_present(data: Buffer) -> bool:
    """Whether a structure is attached."""
    return len(data) > MANDATORY_BYTES and data[MANDATORY_BYTES] & _HAS_STRUCTURE > 0


def peek_frame(data: Buffer) -> tuple[bool, bool, int]:
    """(start of frame, end of frame, frame number): what can be read without a structure."""
    if len(data) < MANDATORY_BYTES:
        raise RtpError("dependency descriptor cut short")
    return data[0] >= 0x80, bool(data[0] & 0x40), data[1] << 8 | data[2]


def _template(data: Buffer, structure: Structure) -> Template:
    index = ((data[0] & 0x3F) - structure.template_id_offset) & 0x3F
    if index >= len(structure.templates):
        raise RtpError("dependency descriptor names an unknown template")
    return structure.templates[index]


def _describe(
    data: Buffer,
    structure: Structure,
    attached: Structure | None,
    active_targets: int,
    template: Template,
    mask_at: int,
    bits: int,
) -> DependencyDescriptor:
    spatial_id, temporal_id, indications, frame_diffs, chain_diffs = template
    width, height = structure.resolutions[spatial_id] if structure.resolutions else (0, 0)
    first = data[0]
    return _new_tuple(
        DependencyDescriptor,
        (
            first >= 0x80,
            bool(first & 0x40),
            first & 0x3F,
            data[1] << 8 | data[2],
            attached,
            active_targets,
            spatial_id,
            temporal_id,
            indications,
            frame_diffs,
            chain_diffs,
            width,
            height,
            mask_at,
            bits,
        ),
    )


# Extended fields


def _parse_extended(data: Buffer, structure: Structure | None) -> DependencyDescriptor:
    reader = BitReader(data)
    reader.skip(8 * MANDATORY_BYTES + _FLAG_BITS)
    flags = data[MANDATORY_BYTES]
    attached, active_targets = None, -1
    if flags & _HAS_STRUCTURE:
        structure = attached = _read_structure(reader)
        active_targets = structure.all_targets
    if structure is None:
        raise RtpError("dependency descriptor before its structure")
    template = _template(data, structure)
    mask_at = reader.position
    if flags & _HAS_MASK:
        active_targets = reader.read(structure.decode_targets)
    if flags & _HAS_CUSTOM_FIELDS:
        template = _customize(reader, flags, structure, template)
    return _describe(data, structure, attached, active_targets, template, mask_at, reader.position)


def _customize(reader: BitReader, flags: int, structure: Structure, template: Template) -> Template:
    """The template with the fields that the descriptor replaces."""
    spatial_id, temporal_id, indications, frame_diffs, chain_diffs = template
    if flags & _HAS_INDICATIONS:
        indications = tuple([reader.read(2) for _ in range(structure.decode_targets)])
    if flags & _HAS_FRAME_DIFFS:
        frame_diffs = _read_frame_diffs(reader)
    if flags & _HAS_CHAIN_DIFFS:
        chain_diffs = tuple([reader.read(8) for _ in range(structure.chains)])
    return Template(spatial_id, temporal_id, indications, frame_diffs, chain_diffs)


def _read_frame_diffs(reader: BitReader) -> tuple[int, ...]:
    diffs = []
    while size := reader.read(2):
        diffs.append(reader.read(4 * size) + 1)
    return tuple(diffs)


def _read_structure(reader: BitReader) -> Structure:
    template_id_offset = reader.read(6)
    targets = reader.read(5) + 1
    layers = _read_layers(reader)
    indications = [tuple([reader.read(2) for _ in range(targets)]) for _ in layers]
    frame_diffs = [_read_template_diffs(reader) for _ in layers]
    chains = reader.non_symmetric(targets + 1)
    protected_by: tuple[int, ...] = ()
    chain_diffs: list[tuple[int, ...]] = [()] * len(layers)
    if chains:
        protected_by = tuple([reader.non_symmetric(chains) for _ in range(targets)])
        chain_diffs = [tuple([reader.read(4) for _ in range(chains)]) for _ in layers]
    resolutions: tuple[tuple[int, int], ...] = ()
    if reader.flag():
        resolutions = tuple([(reader.read(16) + 1, reader.read(16) + 1) for _ in range(layers[-1][0] + 1)])
    return Structure(
        template_id_offset=template_id_offset,
        decode_targets=targets,
        templates=tuple(
            [
                Template(*layer, *rest)
                for layer, *rest in zip(layers, indications, frame_diffs, chain_diffs, strict=True)
            ]
        ),
        chains=chains,
        protected_by=protected_by,
        resolutions=resolutions,
    )


def _read_layers(reader: BitReader) -> list[tuple[int, int]]:
    """(spatial id, temporal id) by template."""
    spatial_id = temporal_id = 0
    layers = [(0, 0)]
    while (step := reader.read(2)) != _NextLayer.NONE:
        if step == _NextLayer.TEMPORAL:
            temporal_id += 1
        elif step == _NextLayer.SPATIAL:
            spatial_id, temporal_id = spatial_id + 1, 0
        layers.append((spatial_id, temporal_id))
        if spatial_id > MAX_SPATIAL_ID or temporal_id > MAX_TEMPORAL_ID or len(layers) > MAX_TEMPLATES:
            raise RtpError("dependency structure beyond its limits")
    return layers


def _read_template_diffs(reader: BitReader) -> tuple[int, ...]:
    diffs = []
    while reader.flag():
        diffs.append(reader.read(4) + 1)
    return tuple(diffs)


# Writing


def rewrite(
    data: bytes, descriptor: DependencyDescriptor, frame_number: int, active_targets: int, targets: int
) -> bytes:
    """`data`, which was parsed to `descriptor`, with another frame number and mask of active decode targets.

    A mask of -1 leaves what is there. `targets` is the number of decode targets, the mask's width. Grows by up to 5
    bytes (flags and mask).
    """
    number = (frame_number & 0xFFFF).to_bytes(2, "big")
    if active_targets < 0:
        return data[:1] + number + data[3:]
    mask = active_targets & (1 << targets) - 1
    if len(data) == MANDATORY_BYTES:
        bits = _FLAG_BITS + targets
        padding = -bits % 8
        extended = (1 << bits - 2 | mask) << padding
        return data[:1] + number + extended.to_bytes((bits + padding) // 8, "big")
    value = int.from_bytes(data, "big") >> 8 * len(data) - descriptor.bits
    after = descriptor.bits - descriptor.mask_at
    bits = descriptor.bits
    if data[MANDATORY_BYTES] & _HAS_MASK:
        after -= targets
        before = value >> after + targets
    else:
        before = value >> after | 1 << descriptor.mask_at - _MASK_FLAG_AT - 1
        bits += targets
    value = (before << targets | mask) << after | value & (1 << after) - 1
    padding = -bits % 8
    out = (value << padding).to_bytes((bits + padding) // 8, "big")
    return out[:1] + number + out[3:]


def encode(
    structure: Structure,
    *,
    template: int,
    frame_number: int,
    start_of_frame: bool,
    end_of_frame: bool,
    attach: bool = False,
    active_targets: int = -1,
    indications: Sequence[int] | None = None,
    frame_diffs: Sequence[int] | None = None,
    chain_diffs: Sequence[int] | None = None,
) -> bytes:
    """A descriptor that names the template of that index, with the structure attached if `attach`.

    What is not None is written as a custom field in place of the template's.
    """
    if not 0 <= template < len(structure.templates):
        raise LocalProtocolError("no such template")
    writer = BitWriter()
    writer.flag(start_of_frame)
    writer.flag(end_of_frame)
    writer.write((structure.template_id_offset + template) % 64, 6)
    writer.write(frame_number & 0xFFFF, 16)
    custom = [field is not None for field in (indications, frame_diffs, chain_diffs)]
    if not attach and active_targets < 0 and not any(custom):
        return writer.to_bytes()
    for flag in (attach, active_targets >= 0, *custom):
        writer.flag(flag)
    if attach:
        _write_structure(writer, structure)
    if active_targets >= 0:
        writer.write(active_targets, structure.decode_targets)
    _write_all(writer, indications or (), 2)
    if frame_diffs is not None:
        _write_frame_diffs(writer, frame_diffs)
    _write_all(writer, chain_diffs or (), 8)
    return writer.to_bytes()


def _write_all(writer: BitWriter, values: Sequence[int], bits: int) -> None:
    for value in values:
        writer.write(value, bits)


def _write_frame_diffs(writer: BitWriter, diffs: Sequence[int]) -> None:
    for diff in diffs:
        size = max(1, ((diff - 1).bit_length() + 3) // 4)
        writer.write(size, 2)
        writer.write(diff - 1, 4 * size)
    writer.write(0, 2)


def _write_structure(writer: BitWriter, structure: Structure) -> None:
    writer.write(structure.template_id_offset, 6)
    writer.write(structure.decode_targets - 1, 5)
    _write_layers(writer, structure.templates)
    for template in structure.templates:
        _write_all(writer, template.indications, 2)
    for template in structure.templates:
        for diff in template.frame_diffs:
            writer.write(0x10 | diff - 1, 5)
        writer.flag(False)
    writer.non_symmetric(structure.chains, structure.decode_targets + 1)
    for chain in structure.protected_by:
        writer.non_symmetric(chain, structure.chains)
    for template in structure.templates:
        _write_all(writer, template.chain_diffs, 4)
    writer.flag(bool(structure.resolutions))
    for width, height in structure.resolutions:
        writer.write(width - 1, 16)
        writer.write(height - 1, 16)


def _write_layers(writer: BitWriter, templates: Sequence[Template]) -> None:
    """Templates come by ascending spatial id, then temporal id (annex A.8.3.3 can say nothing else)."""
    layer = (0, 0)
    for template in templates:
        following = (template.spatial_id, template.temporal_id)
        if template is not templates[0]:
            writer.write(_step(layer, following), 2)
        layer = following
    writer.write(_NextLayer.NONE, 2)


def _step(layer: tuple[int, int], following: tuple[int, int]) -> _NextLayer:
    if following == layer:
        return _NextLayer.SAME
    if following == (layer[0], layer[1] + 1):
        return _NextLayer.TEMPORAL
    if following == (layer[0] + 1, 0):
        return _NextLayer.SPATIAL
    raise LocalProtocolError("templates of a dependency structure are out of order")
