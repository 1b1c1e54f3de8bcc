"""Dependency descriptors: a capture, structures of common scalability modes, and the bits of rewriting."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.rtp import DependencyDescriptor, RtpError, Structure
from sansio.rtp.dependency_descriptor import (
    Indication,
    Template,
    encode,
    parse,
    peek_frame,
    peek_structure_present,
    rewrite,
)

# Chrome's AV1 encoder in L3T3, as LiveKit's tests keep it: a key frame's packet and some that followed.
CHROME_STRUCTURE = bytes.fromhex(
    "c1017280081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d954926e082b04a0941b820ac12"
    "82503157f974000ca864330e222222eca8655304224230eca877530077004200ef008601df010d"
)

DTI = {"-": Indication.ABSENT, "D": Indication.DISCARDABLE, "S": Indication.SWITCH, "R": Indication.REQUIRED}


def template(spatial: int, temporal: int, dtis: str, fdiffs: tuple[int, ...], chains: tuple[int, ...]) -> Template:
    return Template(spatial, temporal, tuple(DTI[letter] for letter in dtis), fdiffs, chains)


L1T3 = Structure(
    template_id_offset=0,
    decode_targets=3,
    templates=(
        template(0, 0, "SSS", (), (0,)),
        template(0, 0, "SSS", (4,), (4,)),
        template(0, 1, "-DR", (2,), (2,)),
        template(0, 2, "--D", (1,), (1,)),
        template(0, 2, "--D", (1,), (3,)),
    ),
    chains=1,
    protected_by=(0, 0, 0),
)
"""AV1 RTP specification, annex A.8: one spatial, three temporal layers."""

L3T3_KEY = Structure(
    template_id_offset=60,  # so that template ids wrap at 64
    decode_targets=9,
    templates=(
        template(0, 0, "SSSSSSSSS", (), (0, 0, 0)),
        template(0, 0, "SSS------", (12,), (12, 11, 10)),
        template(0, 1, "-DR------", (6,), (6, 5, 4)),
        template(0, 2, "--D------", (3,), (3, 2, 1)),
        template(0, 2, "--D------", (3,), (9, 8, 7)),
        template(1, 0, "---SSSSSS", (1,), (1, 1, 1)),
        template(1, 0, "---SSS---", (12,), (1, 12, 11)),
        template(1, 1, "----DR---", (6,), (7, 6, 5)),
        template(1, 2, "-----D---", (3,), (4, 3, 2)),
        template(1, 2, "-----D---", (3,), (10, 9, 8)),
        template(2, 0, "------SSS", (1,), (2, 1, 1)),
        template(2, 0, "------SSS", (12,), (2, 1, 12)),
        template(2, 1, "-------DR", (6,), (8, 7, 6)),
        template(2, 2, "--------D", (3,), (5, 4, 3)),
        template(2, 2, "--------D", (3,), (11, 10, 9)),
    ),
    chains=3,
    protected_by=(0, 0, 0, 1, 1, 1, 2, 2, 2),
    resolutions=((320, 180), (640, 360), (1280, 720)),
)

S2T1 = Structure(
    template_id_offset=5,
    decode_targets=2,
    templates=(
        template(0, 0, "S-", (), ()),
        template(0, 0, "S-", (2,), ()),
        template(1, 0, "-S", (), ()),
        template(1, 0, "-S", (2,), ()),
    ),
)
"""Two streams in one, without chains."""

MODES = {"L1T3": L1T3, "L3T3_KEY": L3T3_KEY, "S2T1": S2T1}


def start(structure: Structure, frame_number: int = 100, template: int = 0) -> bytes:
    return encode(
        structure,
        template=template,
        frame_number=frame_number,
        start_of_frame=True,
        end_of_frame=False,
        attach=True,
    )


# The capture


def test_chromes_structure_is_read() -> None:
    descriptor = parse(CHROME_STRUCTURE, None)
    structure = descriptor.structure
    assert structure is not None
    assert (descriptor.start_of_frame, descriptor.end_of_frame, descriptor.frame_number) == (True, True, 370)
    assert (descriptor.spatial_id, descriptor.temporal_id) == (0, 0)
    assert (descriptor.frame_diffs, descriptor.chain_diffs) == ((), (0, 0, 0))
    assert descriptor.active_targets == structure.all_targets == 0b111111111
    assert (structure.decode_targets, len(structure.templates), structure.chains) == (9, 15, 3)
    assert structure.protected_by == (0, 0, 0, 1, 1, 1, 2, 2, 2)
    assert structure.resolutions == ((120, 67), (240, 135), (480, 270))
    assert structure.target_layers == tuple((spatial, temporal) for spatial in range(3) for temporal in range(3))
    assert (structure.max_spatial_id, structure.max_temporal_id) == (2, 2)


def test_chromes_structure_is_written_bit_by_bit_as_chrome_does() -> None:
    structure = parse(CHROME_STRUCTURE, None).structure
    assert structure is not None
    written = encode(structure, template=1, frame_number=370, start_of_frame=True, end_of_frame=True, attach=True)
    assert written == CHROME_STRUCTURE


@pytest.mark.parametrize(
    ("data", "frame", "flags", "layer", "mask"),
    [
        ("86017340fc", 371, (True, False), (1, 0), 0b000111111),
        ("46017340fc", 371, (False, True), (1, 0), 0b000111111),
        ("c3017540fc", 373, (True, True), (0, 2), 0b000111111),
        ("860173", 371, (True, False), (1, 0), -1),
        ("8b0174", 372, (True, False), (2, 0), -1),
        ("0b0174", 372, (False, False), (2, 0), -1),
    ],
)
def test_what_followed_is_read_by_the_structure(
    data: str, frame: int, flags: tuple[bool, bool], layer: tuple[int, int], mask: int
) -> None:
    structure = parse(CHROME_STRUCTURE, None).structure
    descriptor = parse(bytes.fromhex(data), structure)
    assert descriptor.frame_number == frame
    assert (descriptor.start_of_frame, descriptor.end_of_frame) == flags
    assert (descriptor.spatial_id, descriptor.temporal_id) == layer
    assert (descriptor.width, descriptor.height) == ((120, 67), (240, 135), (480, 270))[layer[0]]
    assert descriptor.active_targets == mask
    assert descriptor.structure is None


# Structures of our own


@pytest.mark.parametrize("structure", MODES.values(), ids=MODES)
def test_structures_come_back_as_they_were_written(structure: Structure) -> None:
    data = start(structure)
    assert peek_structure_present(data)
    assert peek_frame(data) == (True, False, 100)
    assert parse(data, None).structure == structure


@pytest.mark.parametrize("structure", MODES.values(), ids=MODES)
def test_each_template_gives_its_fields(structure: Structure) -> None:
    for index, expected in enumerate(structure.templates):
        data = encode(structure, template=index, frame_number=7, start_of_frame=False, end_of_frame=True)
        assert len(data) == 3
        assert not peek_structure_present(data)
        descriptor = parse(data, structure)
        assert descriptor.template_id == (structure.template_id_offset + index) % 64
        assert (descriptor.spatial_id, descriptor.temporal_id, descriptor.indications) == expected[:3]
        assert (descriptor.frame_diffs, descriptor.chain_diffs) == expected[3:]


def test_layers_of_decode_targets() -> None:
    assert L1T3.target_layers == ((0, 0), (0, 1), (0, 2))
    assert L3T3_KEY.target_layers[4] == (1, 1)
    assert S2T1.target_layers == ((0, 0), (1, 0))


@pytest.mark.parametrize(
    ("structure", "spatial", "temporal", "mask"),
    [
        pytest.param(L1T3, 0, 1, 0b011, id="L1T3, two temporal layers"),
        pytest.param(L3T3_KEY, 0, 0, 0b000000001, id="L3T3_KEY, base"),
        pytest.param(L3T3_KEY, 1, 1, 0b000011011, id="L3T3_KEY, middle"),
        pytest.param(L3T3_KEY, 3, 7, 0b111111111, id="L3T3_KEY, all"),
        pytest.param(S2T1, 0, 0, 0b01, id="S2T1, lower"),
    ],
)
def test_mask_of_the_targets_within_layers(structure: Structure, spatial: int, temporal: int, mask: int) -> None:
    assert structure.mask_for(spatial, temporal) == mask


def test_custom_fields_replace_those_of_the_template() -> None:
    data = encode(
        L3T3_KEY,
        template=6,
        frame_number=9,
        start_of_frame=True,
        end_of_frame=True,
        active_targets=0b111,
        indications=[3] * 9,
        frame_diffs=[1, 16, 17, 256, 257, 4096],
        chain_diffs=[255, 0, 1],
    )
    descriptor = parse(data, L3T3_KEY)
    assert (descriptor.spatial_id, descriptor.temporal_id) == (1, 0)
    assert descriptor.indications == (3,) * 9
    assert descriptor.frame_diffs == (1, 16, 17, 256, 257, 4096)
    assert descriptor.chain_diffs == (255, 0, 1)
    assert descriptor.active_targets == 0b111


def test_no_frame_diffs_at_all_can_be_said() -> None:
    data = encode(L1T3, template=1, frame_number=9, start_of_frame=True, end_of_frame=True, frame_diffs=[])
    assert parse(data, L1T3).frame_diffs == ()


# What is refused


def test_nothing_is_read_before_the_structure() -> None:
    for data in (b"\x80\x00\x01", b"\x80\x00\x01\x00", b"\x80\x00"):
        with pytest.raises(RtpError):
            parse(data, None)


def test_frame_number_needs_three_bytes() -> None:
    with pytest.raises(RtpError):
        peek_frame(b"\x80\x00")


def test_unknown_templates_are_refused() -> None:
    for template_id in (4, 20, 59):  # ids run from 5 to 8
        with pytest.raises(RtpError, match="template"):
            parse(bytes((0x80 | template_id, 0, 1)), S2T1)


def test_a_structure_cut_short_is_refused_wherever_it_ends() -> None:
    data = start(L3T3_KEY)
    for size in range(4, len(data)):
        with pytest.raises(RtpError):
            parse(data[:size], None)


@pytest.mark.parametrize(
    "layers",
    [(2, 2, 2, 2, 3), (1, 1, 1, 1, 1, 1, 1, 1, 3), (0,) * 64],
    ids=["five spatial layers", "nine temporal layers", "65 templates"],
)
def test_limits_of_a_structure(layers: tuple[int, ...]) -> None:
    bits = "1" + "0" * 23 + "10000" + "000000" + "00000" + "".join(f"{step:02b}" for step in layers) + "0" * 400
    bits += "0" * (-len(bits) % 8)
    with pytest.raises(RtpError, match="limits"):
        parse(int(bits, 2).to_bytes(len(bits) // 8, "big"), None)


def test_what_cannot_be_written_is_the_callers_fault() -> None:
    with pytest.raises(LocalProtocolError):
        encode(L1T3, template=5, frame_number=1, start_of_frame=True, end_of_frame=True)
    unordered = Structure(
        template_id_offset=0,
        decode_targets=1,
        templates=(template(1, 0, "S", (), ()), template(0, 0, "S", (), ())),
    )
    with pytest.raises(LocalProtocolError, match="order"):
        start(unordered)


# Rewriting


def expect(
    descriptor: DependencyDescriptor, data: bytes, structure: Structure, frame_number: int, mask: int
) -> DependencyDescriptor:
    """What the rewritten `data` must say."""
    after = parse(data, structure)
    assert after._replace(mask_at=0, bits=0) == descriptor._replace(
        frame_number=frame_number & 0xFFFF,
        active_targets=descriptor.active_targets if mask < 0 else mask,
        mask_at=0,
        bits=0,
    )
    return after


@pytest.mark.parametrize(
    ("before", "mask", "after"),
    [
        pytest.param("860173", -1, "86ffff", id="short, number alone"),
        pytest.param("860173", 0b111, "86ffff401c", id="short, mask inserted"),
        pytest.param("86017340fc", 0b111, "86ffff401c", id="mask replaced"),
        pytest.param("86017340fc", -1, "86ffff40fc", id="mask kept"),
    ],
)
def test_rewriting_chromes_packets(before: str, mask: int, after: str) -> None:
    structure = parse(CHROME_STRUCTURE, None).structure
    data = bytes.fromhex(before)
    assert rewrite(data, parse(data, structure), 0x1FFFF, mask, 9).hex() == after


@pytest.mark.parametrize("structure", MODES.values(), ids=MODES)
def test_a_mask_is_inserted_behind_an_attached_structure(structure: Structure) -> None:
    data = start(structure)
    descriptor = parse(data, None)
    written = rewrite(data, descriptor, 5, 1, structure.decode_targets)
    after = expect(descriptor, written, structure, 5, 1)
    assert after.structure == structure
    assert after.mask_at == descriptor.mask_at
    assert written == encode(
        structure,
        template=0,
        frame_number=5,
        start_of_frame=True,
        end_of_frame=False,
        attach=True,
        active_targets=1,
    )


@st.composite
def structures(draw: st.DrawFn) -> Structure:
    """Any structure that the wire can carry, of moderate size."""
    targets = draw(st.integers(1, 6))
    chains = draw(st.integers(0, targets))
    layers = [(0, 0)]
    for step in draw(st.lists(st.integers(0, 2), max_size=8)):
        spatial, temporal = layers[-1]
        following = [(spatial, temporal), (spatial, temporal + 1), (spatial + 1, 0)][step]
        layers.append(following if following[0] <= 3 and following[1] <= 7 else layers[-1])
    size = st.integers(1, 1 << 16)
    return Structure(
        template_id_offset=draw(st.integers(0, 63)),
        decode_targets=targets,
        templates=tuple(
            Template(
                *layer,
                tuple(draw(st.lists(st.integers(0, 3), min_size=targets, max_size=targets))),
                tuple(draw(st.lists(st.integers(1, 16), max_size=3))),
                tuple(draw(st.lists(st.integers(0, 15), min_size=chains, max_size=chains))),
            )
            for layer in layers
        ),
        chains=chains,
        protected_by=tuple(draw(st.integers(0, chains - 1)) for _ in range(targets)) if chains else (),
        resolutions=tuple(draw(st.tuples(size, size)) for _ in range(layers[-1][0] + 1)) if draw(st.booleans()) else (),
    )


@st.composite
def written(draw: st.DrawFn) -> tuple[Structure, bytes]:
    """A structure, and a descriptor by it with any of the optional fields."""
    structure = draw(structures())
    targets, chains = structure.decode_targets, structure.chains
    data = encode(
        structure,
        template=draw(st.integers(0, len(structure.templates) - 1)),
        frame_number=draw(st.integers(0, 0xFFFF)),
        start_of_frame=draw(st.booleans()),
        end_of_frame=draw(st.booleans()),
        attach=draw(st.booleans()),
        active_targets=draw(st.integers(-1, structure.all_targets)),
        indications=draw(st.none() | st.lists(st.integers(0, 3), min_size=targets, max_size=targets)),
        frame_diffs=draw(st.none() | st.lists(st.integers(1, 4096), max_size=4)),
        chain_diffs=draw(st.none() | st.lists(st.integers(0, 255), min_size=chains, max_size=chains)),
    )
    return structure, data


@given(structures())
def test_any_structure_comes_back_as_it_was_written(structure: Structure) -> None:
    assert parse(start(structure), None).structure == structure


@given(written(), st.integers(0, 1 << 20), st.data())
def test_rewriting_changes_number_and_mask_and_nothing_else(
    case: tuple[Structure, bytes], frame_number: int, data: st.DataObject
) -> None:
    structure, before = case
    mask = data.draw(st.integers(-1, structure.all_targets))
    descriptor = parse(before, structure)
    after = rewrite(before, descriptor, frame_number, mask, structure.decode_targets)
    expect(descriptor, after, structure, frame_number, mask)
    assert len(after) <= len(before) + 5
    again = rewrite(after, parse(after, structure), descriptor.frame_number, mask, structure.decode_targets)
    assert len(again) == len(after)


@given(written(), st.integers(0, 200), st.integers(0, 7))
def test_a_flipped_bit_gives_a_value_or_the_one_error(case: tuple[Structure, bytes], at: int, bit: int) -> None:
    structure, before = case
    data = bytearray(before)
    data[at % len(data)] ^= 1 << bit
    for known in (structure, None):
        with suppress(RtpError):
            parse(data, known)


@given(st.binary(max_size=40))
def test_any_bytes_behind_a_known_structure(data: bytes) -> None:
    with suppress(RtpError):
        descriptor = parse(data, L3T3_KEY)
        structure = descriptor.structure or L3T3_KEY
        rewritten = rewrite(data, descriptor, 3, 1, structure.decode_targets)
        assert parse(rewritten, structure).active_targets == 1
