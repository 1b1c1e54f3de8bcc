"""Qualities, sizes and rids as spatial layers."""

from __future__ import annotations

import pytest

from sansio.sfu import (
    PublishedLayer,
    Quality,
    WantedLayers,
    choose_layer,
    quality_for_spatial,
    spatial_for_quality,
    spatial_for_rid,
    spatial_for_size,
    temporal_for_fps,
    wanted_for,
)

LOW, MEDIUM, HIGH, OFF = Quality


def declared(*qualities: Quality) -> tuple[PublishedLayer, ...]:
    return tuple(PublishedLayer(quality=quality) for quality in qualities)


CAMERA = (
    PublishedLayer(quality=HIGH, width=1280, height=720),
    PublishedLayer(quality=LOW, width=320, height=180),
    PublishedLayer(quality=MEDIUM, width=640, height=360),
)
PORTRAIT = tuple(PublishedLayer(quality=one.quality, width=one.height, height=one.width) for one in CAMERA)
ALL = declared(LOW, MEDIUM, HIGH)


@pytest.mark.parametrize(
    ("rid", "layers", "rids", "spatial"),
    [
        ("q", ALL, (), 0),
        ("h", ALL, (), 1),
        ("f", ALL, (), 2),
        ("2", ALL, (), 0),
        ("1", ALL, (), 1),
        ("0", ALL, (), 2),
        ("q", declared(LOW, HIGH), (), 0),
        ("h", declared(MEDIUM, HIGH), (), 1),
        ("f", declared(MEDIUM, HIGH), (), 1),
        ("f", declared(HIGH), (), 0),
        ("", ALL, (), 0),
        ("hi", ALL, ("lo", "mid", "hi"), 2),
        ("hi", (), ("lo", "hi"), 1),
        ("unheard", ALL, ("lo", "hi"), 0),
        ("f", (), (), 2),
        ("f", ALL, ("f", "h", "q"), 2),
        ("q", ALL, ("f", "h", "q"), 0),
        ("h", declared(MEDIUM, HIGH), ("h", "f"), 0),
        ("f", declared(MEDIUM, HIGH), ("h", "f"), 1),
        ("f", ALL, ("f",), 0),
        ("0", ALL, ("0", "1"), 1),
    ],
)
def test_rid(rid: str, layers: tuple[PublishedLayer, ...], rids: tuple[str, ...], spatial: int) -> None:
    assert spatial_for_rid(rid, layers, rids) == spatial


@pytest.mark.parametrize(
    ("layers", "spatials", "qualities"),
    [
        (ALL, (0, 1, 2), (LOW, MEDIUM, HIGH)),
        (declared(LOW, MEDIUM), (0, 1, 1), (LOW, MEDIUM, MEDIUM)),
        (declared(LOW, HIGH), (0, 1, 1), (LOW, HIGH, HIGH)),
        (declared(HIGH, MEDIUM), (0, 0, 1), (MEDIUM, HIGH, HIGH)),
        (declared(HIGH), (0, 0, 0), (HIGH, HIGH, HIGH)),
        (declared(OFF), (0, 1, 2), (LOW, MEDIUM, HIGH)),
        ((), (0, 1, 2), (LOW, MEDIUM, HIGH)),
    ],
)
def test_quality_and_back(
    layers: tuple[PublishedLayer, ...], spatials: tuple[int, ...], qualities: tuple[Quality, ...]
) -> None:
    assert tuple(spatial_for_quality(quality, layers) for quality in (LOW, MEDIUM, HIGH)) == spatials
    assert tuple(quality_for_spatial(spatial, layers) for spatial in range(3)) == qualities
    assert quality_for_spatial(-1, layers) is OFF


@pytest.mark.parametrize(
    ("width", "height", "layers", "spatial"),
    [
        (320, 180, CAMERA, 0),
        (355, 200, CAMERA, 0),
        (400, 225, CAMERA, 1),
        (711, 400, CAMERA, 1),
        (720, 405, CAMERA, 2),
        (4000, 3000, CAMERA, 2),
        (0, 360, CAMERA, 1),
        (300, 0, CAMERA, 1),
        (180, 320, PORTRAIT, 0),
        (360, 640, PORTRAIT, 1),
        (640, 360, (), None),
        (640, 360, ALL, None),
        (640, 360, (CAMERA[0], PublishedLayer(quality=LOW)), None),
    ],
)
def test_size(width: int, height: int, layers: tuple[PublishedLayer, ...], spatial: int | None) -> None:
    assert spatial_for_size(width, height, layers) == spatial


@pytest.mark.parametrize(
    ("fps", "temporal"), [(0, 3), (5, 0), (8, 0), (9, 1), (15, 1), (16, 1), (17, 3), (30, 3), (60, 3)]
)
def test_frame_rate(fps: int, temporal: int) -> None:
    assert temporal_for_fps(fps) == temporal


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ((LOW, 0, 0, 0), WantedLayers(0, 3)),
        ((HIGH, 0, 0, 15), WantedLayers(2, 1)),
        ((LOW, 1280, 720, 0), WantedLayers(2, 3)),
        ((OFF, 1280, 720, 0), None),
    ],
)
def test_track_setting(setting: tuple[Quality, int, int, int], wanted: WantedLayers | None) -> None:
    assert wanted_for(*setting, CAMERA) == wanted


def test_track_setting_with_a_size_for_a_track_without_sizes_goes_by_quality() -> None:
    assert wanted_for(MEDIUM, 1280, 720, 0, ALL) == WantedLayers(1, 3)


@pytest.mark.parametrize(
    ("wanted", "available", "chosen"),
    [
        (2, (True, True, True), 2),
        (1, (True, True, True), 1),
        (2, (True, False, False), 0),
        (0, (False, True, True), 1),
        (1, (False, False, True), 2),
        (2, (False, False, False), None),
        (7, (True, True, False), 1),
    ],
)
def test_choice(wanted: int, available: tuple[bool, ...], chosen: int | None) -> None:
    assert choose_layer(wanted, available) == chosen
