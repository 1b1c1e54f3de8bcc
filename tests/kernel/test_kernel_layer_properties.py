"""Properties of the choice among layers, over random structures and descriptors."""

from __future__ import annotations

from conftest import MakeKernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig, leg_spec, read, write

from sansio.kernel import Codec, ExtensionIds, LegMode, NoticeKind
from sansio.rtp import Structure, dependency_descriptor
from sansio.rtp.dependency_descriptor import Template

SOURCE = ExtensionIds(dependency_descriptor=5)
TARGET = ExtensionIds(dependency_descriptor=6, mixed=True)
bounded = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def structures(draw: st.DrawFn) -> Structure:
    targets = draw(st.integers(1, 4))
    chains = draw(st.integers(0, targets))
    layers = [(0, 0)]
    for _ in range(draw(st.integers(0, 4))):
        spatial, temporal = layers[-1]
        steps = [(spatial, temporal)]
        steps += [(spatial, temporal + 1)] * (temporal < 7) + [(spatial + 1, 0)] * (spatial < 3)
        layers.append(draw(st.sampled_from(steps)))
    templates = tuple(
        Template(
            *layer,
            tuple(draw(st.lists(st.integers(0, 3), min_size=targets, max_size=targets))),
            tuple(draw(st.lists(st.integers(1, 16), max_size=3))),
            tuple(draw(st.lists(st.integers(0, 15), min_size=chains, max_size=chains))),
        )
        for layer in layers
    )
    protected = tuple(draw(st.lists(st.integers(0, chains - 1), min_size=targets, max_size=targets))) if chains else ()
    return Structure(
        template_id_offset=draw(st.integers(0, 63)),
        decode_targets=targets,
        templates=templates,
        chains=chains,
        protected_by=protected,
    )


@st.composite
def descriptors(draw: st.DrawFn, structure: Structure, frame: int, attach: bool) -> bytes:
    targets, chains = structure.decode_targets, structure.chains
    raw = dependency_descriptor.encode(
        structure,
        template=draw(st.integers(0, len(structure.templates) - 1)),
        frame_number=frame,
        start_of_frame=draw(st.booleans()),
        end_of_frame=draw(st.booleans()),
        attach=attach,
        active_targets=draw(st.sampled_from((-1, -1, 0, (1 << targets) - 1, 1))),
        indications=draw(st.none() | st.lists(st.integers(0, 3), min_size=targets, max_size=targets)),
        frame_diffs=[] if attach else draw(st.none() | st.lists(st.integers(1, 300), max_size=3)),
        chain_diffs=draw(st.none() | st.lists(st.integers(0, 255), min_size=chains, max_size=chains)),
    )
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + bytes((draw(st.integers(0, 255)),)) + raw[at + 1 :]
    return raw


@bounded
@given(data=st.data())
def test_choice_is_total(make_kernel: MakeKernel, data: st.DataObject) -> None:
    kernel = make_kernel(8)
    rig = Rig(kernel)
    stream = rig.stream(Codec.AV1, extensions=SOURCE)
    kernel.watch_key_frames(stream, True)
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.SVC, extensions=TARGET)
    structure = data.draw(structures())
    frame = number = 60000
    sent: dict[int, bytes] = {}
    followed = False
    for step in range(data.draw(st.integers(1, 25))):
        attach = step == 0 or data.draw(st.integers(0, 7)) == 0
        if attach:
            structure = data.draw(st.just(structure) | structures())
        frame += data.draw(st.sampled_from((0, 1, 1, 1, 2)))
        number += data.draw(st.sampled_from((1, 1, 1, 2, -1)))
        raw = data.draw(descriptors(structure, frame & 0xFFFF, attach))
        if number & 0xFFFF not in sent:
            sent[number & 0xFFFF] = raw
        packet = write(number, 3000 * step, b"%d" % step, two_byte=True, extensions={5: raw})
        for notice in rig.publisher.send(step / 30, packet):
            if notice.kind is NoticeKind.FIRST_PACKET and not followed:
                followed = True
                kernel.switch(step / 30, leg, stream, notice.position, 0)
        if data.draw(st.integers(0, 5)) == 0:
            kernel.set_leg(
                leg,
                leg_spec(
                    peer, LegMode.SVC, extensions=TARGET, max_spatial=data.draw(st.integers(0, 3)),
                    max_temporal=data.draw(st.integers(0, 7)),
                ),
            )  # fmt: skip
    got = rig.received(peer)
    numbers = [one.number for one in got]
    assert len(set(numbers)) == len(numbers)
    for one in got:
        assert bool(one.payload) == (6 in one.extensions)
    stats = kernel.leg_stats(leg)
    assert stats.packets == len(got)


@bounded
@given(
    packets=st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.integers(0, 2)), max_size=30),
    limits=st.tuples(st.integers(0, 3), st.integers(0, 7)),
)
def test_any_vp9_payload_is_chosen_or_not(
    make_kernel: MakeKernel, packets: list[tuple[bytes, int]], limits: tuple[int, int]
) -> None:
    kernel = make_kernel(9)
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP9)
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.SVC, max_spatial=limits[0], max_temporal=limits[1])
    key = bytes((0x88, 5, 0x82, 0x49, 0x83, 0x42))
    number = 10
    rig.publisher.send(0.0, write(number, 0, key))
    kernel.switch(0.0, leg, stream, number, 0)
    for step, (payload, gap) in enumerate(packets):
        number += 1 + gap
        rig.publisher.send(step / 30, write(number, 3000 * step, payload))
    got = [read(one.raw) for one in rig.received(peer)]
    assert got[0].payload == key
    assert len({one.number for one in got}) == len(got)
    if not any(gap for _, gap in packets):
        assert [one.number - got[0].number for one in got] == list(range(len(got)))
