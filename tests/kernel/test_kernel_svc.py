"""Layered streams: choice by dependency descriptor, and by VP9 payload descriptor."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rig import Peer, Rig, Rtp, kinds, leg_spec, write

from sansio.kernel import Codec, ExtensionIds, Kernel, LegMode, Notice, NoticeKind
from sansio.rtp import Structure, dependency_descriptor
from sansio.rtp.dependency_descriptor import Template

SOURCE_ID, TARGET_ID = 12, 8
SPATIAL = 3
DELTA = b"\x80delta"
AV1_BODY = b"\x10obu"


def spatial_structure(offset: int = 0) -> Structure:
    """Three spatial layers, one decode target and one chain each."""
    return Structure(
        template_id_offset=offset,
        decode_targets=SPATIAL,
        templates=tuple(
            Template(layer, 0, tuple(2 if target >= layer else 0 for target in range(SPATIAL)), (), (0,) * SPATIAL)
            for layer in range(SPATIAL)
        ),
        chains=SPATIAL,
        protected_by=tuple(range(SPATIAL)),
        resolutions=((320, 180), (640, 360), (1280, 720)),
    )


class Layers:
    """Writes L3T1: each layer refers to the one below and to itself one unit before; with `key_only` only key frames refer
    across layers. Two packets a frame. The sender's marker is on the last packet of its highest layer."""

    def __init__(self, *, key_only: bool = False, ssrc: int = 0x1111, number: int = 300, frame: int = 65530) -> None:
        self.key_only, self.ssrc, self.number, self.frame = key_only, ssrc, number, frame
        self.structure = spatial_structure()
        self.timestamp = 9000
        self.offset = 0

    def unit(self, *, key: bool = False, layers: int = SPATIAL, mask: int = -1) -> list[bytes]:
        if key:
            self.offset = (self.offset + 20) % 64
            self.structure = spatial_structure(self.offset)
        packets = []
        for layer in range(layers):
            diffs, chains = self._refer(layer, key)
            for start in (True, False):
                raw = dependency_descriptor.encode(
                    self.structure,
                    template=layer,
                    frame_number=self.frame,
                    start_of_frame=start,
                    end_of_frame=not start,
                    attach=key and layer == 0 and start,
                    active_targets=mask if layer == 0 and start and not key else -1,
                    frame_diffs=diffs,
                    chain_diffs=chains,
                )
                packets.append(
                    write(
                        self.number, self.timestamp, b"layer %d" % layer, ssrc=self.ssrc, two_byte=True,
                        marker=layer == layers - 1 and not start, extensions={SOURCE_ID: raw},
                    )
                )  # fmt: skip
                self.number += 1
            self.frame += 1
        self.timestamp += 3000
        return packets

    def _refer(self, layer: int, key: bool) -> tuple[list[int], list[int]]:
        """Frame differences and chain differences of a frame; layers are three frames apart."""
        if key:
            return ([1] if layer else []), [[0, 0, 0], [1, 1, 1], [2, 1, 1]][layer]
        if self.key_only:
            # Each chain runs through its own layer only; frames of other layers name its last frame.
            return [3], [layer - chain if chain < layer else layer - chain + 3 for chain in range(SPATIAL)]
        return [3] + ([1] if layer else []), [[3, 2, 1], [1, 1, 1], [2, 1, 1]][layer]


class View:
    """A forwarded packet with its descriptor."""

    def __init__(self, rtp: Rtp, structure: Structure | None) -> None:
        self.rtp = rtp
        self.raw = rtp.extensions[TARGET_ID]
        self.descriptor = dependency_descriptor.parse(self.raw, structure)

    @property
    def layer(self) -> int:
        return self.descriptor.spatial_id


class Watch:
    """A publisher of layers and one subscriber, following from the first key frame on."""

    def __init__(
        self, kernel: Kernel, source: Layers, *, max_spatial: int = 3, mixed: bool = True, start: bool = True
    ) -> None:
        self.kernel = kernel
        self.rig = Rig(kernel)
        self.stream = self.add(source)
        self.peer: Peer = self.rig.subscriber()
        self.extensions = ExtensionIds(dependency_descriptor=TARGET_ID, mixed=mixed)
        self.leg = self.rig.leg(self.peer, LegMode.SVC, extensions=self.extensions, max_spatial=max_spatial)
        self.structure: Structure | None = None
        self.notices: list[Notice] = []
        if start:
            self.key = self.send(source.unit(key=True))[-1]
            kernel.switch(0.0, self.leg, self.stream, self.key.position, 50)

    def add(self, source: Layers) -> int:
        stream = self.rig.stream(Codec.AV1, ssrc=source.ssrc, extensions=ExtensionIds(dependency_descriptor=SOURCE_ID))
        self.kernel.watch_key_frames(stream, True)
        return stream

    def send(self, packets: Sequence[bytes], now: float = 0.1) -> list[Notice]:
        self.notices += self.rig.publisher.send(now, *packets)
        return self.notices

    def told(self, kind: NoticeKind) -> list[Notice]:
        found = [notice for notice in self.notices if notice.kind is kind]
        self.notices = []
        return found

    def limit(self, max_spatial: int) -> None:
        self.kernel.set_leg(
            self.leg, leg_spec(self.peer, LegMode.SVC, extensions=self.extensions, max_spatial=max_spatial)
        )

    def views(self) -> list[View]:
        out = []
        for one in self.rig.received(self.peer):
            view = View(one, self.structure)
            self.structure = view.descriptor.structure or self.structure
            out.append(view)
        return out


def layers_of(views: Sequence[View]) -> list[int]:
    return [view.layer for view in views[::2]]


def assert_gapless(views: Sequence[View]) -> None:
    numbers = [view.rtp.number - views[0].rtp.number for view in views]
    assert numbers == list(range(len(views)))


@pytest.mark.parametrize("key_only", [False, True], ids=["L3T1", "L3T1_KEY"])
def test_all_layers_pass_untouched(kernel: Kernel, key_only: bool) -> None:
    source = Layers(key_only=key_only)
    watch = Watch(kernel, source)
    for _ in range(3):
        watch.send(source.unit())
    views = watch.views()
    assert layers_of(views) == [0, 1, 2] * 4
    assert_gapless(views)
    assert [view.rtp.marker for view in views] == [0, 0, 0, 0, 0, 1] * 4
    assert (watch.key.width, watch.key.height) == (1280, 720)
    assert kinds(watch.notices)[-1] is not NoticeKind.LEG_NEEDS_KEY_FRAME


@pytest.mark.parametrize("key_only", [False, True], ids=["L3T1", "L3T1_KEY"])
def test_layers_above_the_ceiling_are_cut(kernel: Kernel, key_only: bool) -> None:
    source = Layers(key_only=key_only)
    watch = Watch(kernel, source, max_spatial=1)
    watch.send(source.unit())
    watch.send(source.unit())
    views = watch.views()
    assert layers_of(views) == [0, 1] * 3
    assert_gapless(views)
    assert [view.rtp.marker for view in views] == [0, 0, 0, 1] * 3
    attached = [view.descriptor.structure is not None for view in views]
    assert attached == [True] + [False] * 11
    # Decoders must not wait for the third target.
    assert [view.descriptor.active_targets for view in views[1:]] == [0b011] * 11
    assert kernel.leg_stats(watch.leg).dropped_packets == 6
    assert kernel.leg_stats(watch.leg).spatial == 1


def test_ceiling_sinks_at_once_and_rises_at_a_key_frame(kernel: Kernel) -> None:
    source = Layers()
    watch = Watch(kernel, source)
    watch.send(source.unit())
    assert [(one.spatial, one.temporal) for one in watch.told(NoticeKind.MARKED_SWITCH)] == [(2, 0)]
    watch.limit(0)
    watch.send(source.unit())
    assert [one.spatial for one in watch.told(NoticeKind.MARKED_SWITCH)] == [0]
    watch.limit(2)
    watch.send(source.unit())
    watch.send(source.unit())
    (notice,) = watch.told(NoticeKind.LEG_NEEDS_KEY_FRAME)
    assert (notice.leg, notice.stream) == (watch.leg, watch.stream)
    watch.send(source.unit(key=True))
    assert [one.spatial for one in watch.told(NoticeKind.MARKED_SWITCH)] == [2]
    watch.send(source.unit())
    views = watch.views()
    assert layers_of(views) == [0, 1, 2, 0, 1, 2, 0, 0, 0, 0, 1, 2, 0, 1, 2]
    assert_gapless(views)


def test_request_for_a_key_frame_is_repeated(kernel: Kernel) -> None:
    source = Layers()
    watch = Watch(kernel, source, start=False)
    watch.send(source.unit(key=True))
    watch.send(source.unit())
    kernel.switch(0.2, watch.leg, watch.stream, 306, 50)
    assert watch.views() == []
    watch.told(NoticeKind.GAP)
    for step in range(10):
        watch.send(source.unit(), 0.3 + step / 5)
    assert 3 <= len(watch.told(NoticeKind.LEG_NEEDS_KEY_FRAME)) <= 5
    watch.send(source.unit(key=True), 3.0)
    views = watch.views()
    assert layers_of(views) == [0, 1, 2]
    assert (views[0].rtp.timestamp, views[0].descriptor.structure is not None) == (50, True)


def test_layer_that_the_sender_stopped_is_not_asked_for(kernel: Kernel) -> None:
    source = Layers()
    watch = Watch(kernel, source)
    watch.told(NoticeKind.KEY_FRAME)
    watch.send(source.unit(layers=2, mask=0b011))
    source.frame += 1
    watch.send(source.unit(layers=2))
    assert layers_of(watch.views()) == [0, 1, 2, 0, 1, 0, 1]
    assert watch.told(NoticeKind.LEG_NEEDS_KEY_FRAME) == []


def test_frame_numbers_go_on_across_sources(kernel: Kernel) -> None:
    first, second = Layers(), Layers(ssrc=0x2222, frame=30000, number=900)
    watch = Watch(kernel, first)
    other = watch.add(second)
    key = watch.send(second.unit(key=True))[-1]
    kernel.switch(0.2, watch.leg, other, key.position, 3050)
    watch.send(second.unit())
    views = watch.views()
    assert layers_of(views) == [0, 1, 2] * 3
    assert_gapless(views)
    frames = [view.descriptor.frame_number - views[0].descriptor.frame_number & 0xFFFF for view in views[::2]]
    assert frames == list(range(9))


def test_lost_layer_packet_is_filled_when_it_comes(kernel: Kernel) -> None:
    source = Layers()
    watch = Watch(kernel, source, max_spatial=0)
    unit = source.unit()
    watch.send([*unit[:2], *unit[3:], *source.unit()])
    watch.send([unit[2]])
    got = watch.rig.received(watch.peer)
    # The lost one's number was promised, and so was that of the packet which showed the gap; both become empty packets.
    assert [one.payload for one in got] == [b"layer 0"] * 4 + [b""] + [b"layer 0"] * 2 + [b""]
    assert [one.number - got[0].number for one in got] == [0, 1, 2, 3, 5, 6, 7, 4]


def test_unreadable_descriptor_is_dropped(kernel: Kernel) -> None:
    source = Layers()
    watch = Watch(kernel, source)
    watch.views()
    bad = write(source.number, source.timestamp, b"x", two_byte=True, extensions={SOURCE_ID: b"\xff"})
    source.number += 1
    watch.send([bad, *source.unit()])
    assert len(watch.views()) == 6


@pytest.mark.parametrize("mixed", [True, False])
def test_descriptor_form_follows_the_agreement(kernel: Kernel, mixed: bool) -> None:
    source = Layers()
    watch = Watch(kernel, source, mixed=mixed)
    watch.send(source.unit())
    profiles = [one.raw[12:14] for one in watch.rig.received(watch.peer)]
    assert profiles[0] == b"\x10\x00"
    assert profiles[-1] == (b"\xbe\xde" if mixed else b"\x10\x00")


def test_temporal_layers_are_cut(kernel: Kernel) -> None:
    structure = Structure(
        template_id_offset=0,
        decode_targets=3,
        templates=(
            Template(0, 0, (2, 2, 2), (4,), (4,)),
            Template(0, 1, (0, 2, 2), (2,), (2,)),
            Template(0, 2, (0, 0, 1), (1,), (1,)),
        ),
        chains=1,
        protected_by=(0, 0, 0),
    )
    rig = Rig(kernel)
    stream = rig.stream(Codec.VP9, extensions=ExtensionIds(dependency_descriptor=SOURCE_ID))
    peer = rig.subscriber()
    leg = rig.leg(
        peer, LegMode.SVC, max_temporal=1, extensions=ExtensionIds(dependency_descriptor=TARGET_ID, mixed=True)
    )
    for index in range(13):
        template = (0, 2, 1, 2)[index % 4]
        raw = dependency_descriptor.encode(
            structure, template=template, frame_number=index, start_of_frame=True, end_of_frame=True,
            attach=index == 0, frame_diffs=[] if index == 0 else None,
            chain_diffs=[0] if index == 0 else [3] if index % 4 == 3 else None,
        )  # fmt: skip
        packet = write(10 + index, 3000 * index, b"%d" % index, two_byte=True, extensions={SOURCE_ID: raw})
        rig.publisher.send(index / 30, packet)
        if index == 0:
            kernel.switch(0.0, leg, stream, 10, 0)
    got = rig.received(peer)
    assert [one.payload for one in got] == [b"0", b"2", b"4", b"6", b"8", b"10", b"12"]
    assert [one.number - got[0].number for one in got] == list(range(7))
    assert (kernel.leg_stats(leg).spatial, kernel.leg_stats(leg).temporal) == (0, 1)


# VP9 by its payload descriptor


def vp9(
    picture: int, spatial: int, temporal: int, *, inter: bool, begin: bool = True, end: bool = True, up: bool = False
) -> bytes:
    first = 0x80 | 0x20 | (0x40 if inter else 0) | (8 if begin else 0) | (4 if end else 0)
    layer = temporal << 5 | (0x10 if up else 0) | spatial << 1 | (1 if spatial else 0)
    # Behind the descriptor: a frame marker, profile 0, and a key frame or an inter frame.
    frame = bytes((0x84 if inter else 0x80,)) + b"\x49\x83\x42\x00\x13\xf0\x0b\x40"
    return bytes((first, 0x80 | picture >> 8, picture & 0xFF, layer, picture & 0xFF)) + frame


class Vp9Watch:
    def __init__(self, kernel: Kernel, *, max_spatial: int = 3, max_temporal: int = 7) -> None:
        self.kernel = kernel
        self.rig = Rig(kernel)
        self.stream = self.rig.stream(Codec.VP9)
        kernel.watch_key_frames(self.stream, True)
        self.peer = self.rig.subscriber()
        self.leg = self.rig.leg(self.peer, LegMode.SVC, max_spatial=max_spatial, max_temporal=max_temporal)
        self.number, self.picture = 100, 0
        self.notices: list[Notice] = []
        self.send(key=True)
        kernel.switch(0.0, self.leg, self.stream, 100, 0)

    def send(self, *, key: bool = False, temporal: int = 0, up: bool = False, layers: int = 3) -> None:
        packets = []
        for spatial in range(layers):
            payload = vp9(self.picture, spatial, temporal, inter=not key, up=up)
            last = spatial == layers - 1
            packets.append(write(self.number, 3000 * self.picture, payload, marker=last))
            self.number += 1
        self.picture += 1
        self.notices += self.rig.publisher.send(self.picture / 30, *packets)

    def limit(self, max_spatial: int, max_temporal: int = 7) -> None:
        self.kernel.set_leg(
            self.leg, leg_spec(self.peer, LegMode.SVC, max_spatial=max_spatial, max_temporal=max_temporal)
        )

    def got(self) -> list[tuple[int, int, int]]:
        """Spatial layer, temporal layer, marker; numbers must be gapless."""
        raw = self.rig.received(self.peer)
        assert [one.number - raw[0].number for one in raw] == list(range(len(raw)))
        return [(one.payload[3] >> 1 & 7, one.payload[3] >> 5, one.marker) for one in raw]


def test_vp9_layers_above_the_ceiling_are_cut_and_the_marker_moves(kernel: Kernel) -> None:
    watch = Vp9Watch(kernel, max_spatial=1)
    watch.send()
    watch.send()
    assert watch.got() == [(0, 0, 0), (1, 0, 1)] * 3
    (notice,) = [one for one in watch.notices if one.kind is NoticeKind.MARKED_SWITCH]
    assert (notice.spatial, notice.temporal) == (1, 0)


def test_vp9_goes_up_at_a_key_picture_only(kernel: Kernel) -> None:
    watch = Vp9Watch(kernel, max_spatial=0)
    watch.limit(2)
    watch.send()
    assert NoticeKind.LEG_NEEDS_KEY_FRAME in kinds(watch.notices)
    watch.send(key=True)
    watch.send()
    assert [spatial for spatial, *_ in watch.got()] == [0, 0, 0, 1, 2, 0, 1, 2]
    watch.limit(0)
    watch.send()
    assert watch.got() == [(0, 0, 1)]


def test_vp9_temporal_layers(kernel: Kernel) -> None:
    watch = Vp9Watch(kernel, max_spatial=0, max_temporal=0)
    for temporal in (2, 1, 2, 0):
        watch.send(temporal=temporal)
    watch.limit(0, 2)
    watch.send(temporal=2)
    watch.send(temporal=1, up=True)
    watch.send(temporal=2)
    watch.send(temporal=2, up=True)
    assert [temporal for _, temporal, _ in watch.got()] == [0, 0, 1, 2]


def test_av1_without_descriptor_passes_as_it_is(kernel: Kernel) -> None:
    rig = Rig(kernel)
    stream = rig.stream(Codec.AV1, extensions=ExtensionIds(dependency_descriptor=SOURCE_ID))
    peer = rig.subscriber()
    leg = rig.leg(peer, LegMode.SVC)
    rig.publisher.send(0.0, write(1, 1, AV1_BODY))
    kernel.switch(0.0, leg, stream, 1, 1)
    rig.publisher.send(0.1, write(2, 2, DELTA))
    assert [one.payload for one in rig.received(peer)] == [AV1_BODY, DELTA]
