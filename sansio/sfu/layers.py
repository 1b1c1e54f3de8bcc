"""Which layer of a published track a subscriber gets: qualities, sizes and rids as spatial indices, and the choice itself.

A track is published in up to three spatial layers, index 0 the smallest, densely numbered whatever qualities the
publisher declared; the declared list says which quality an index stands for. Everything here is a pure function of
values; who decides when to switch is `downtrack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import attrs

MAX_SPATIAL = 2
MAX_TEMPORAL = 3
TOLERANCE = 0.9
"""A layer serves a request for a size or frame rate that it misses by a tenth (LiveKit's layer selection)."""

_RID_ORDERS = (("q", "h", "f"), ("2", "1", "0"))


class Quality(IntEnum):
    """Numbers of LiveKit's VideoQuality."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    OFF = 3


@attrs.frozen(kw_only=True)
class PublishedLayer:
    """One layer as its publisher declared it."""

    quality: Quality
    width: int = 0
    height: int = 0


class WantedLayers(NamedTuple):
    """The highest layers that a subscriber asks for."""

    spatial: int
    temporal: int = MAX_TEMPORAL


def spatial_for_rid(rid: str, layers: Sequence[PublishedLayer], rids: Sequence[str] = ()) -> int:
    """The spatial index of the encoding `rid`, one of `rids`. Those of the two known series count by quality among those
    that are used; with other names the SDP's list is taken to begin with the lowest."""
    series = next((order for order in _RID_ORDERS if rid and rid in order), None)
    if series is not None:
        used = [one for one in series if one in rids] if rid in rids else list(series)
    else:
        used = list(rids) if rid in rids else [rid]
    declared = len(layers) or len(rids) or MAX_SPATIAL + 1
    return min(used.index(rid), declared - 1, MAX_SPATIAL)


def _declared(layers: Sequence[PublishedLayer]) -> list[PublishedLayer]:
    return sorted((layer for layer in layers if layer.quality is not Quality.OFF), key=lambda layer: layer.quality)


def spatial_for_quality(quality: Quality, layers: Sequence[PublishedLayer]) -> int:
    """The lowest index that stands for at least `quality`; the highest if none does. A track with nothing declared
    takes the quality's own number."""
    declared = _declared(layers)
    if not declared:
        return min(quality, MAX_SPATIAL)
    for index, layer in enumerate(declared):
        if layer.quality >= quality:
            return index
    return len(declared) - 1


def quality_for_spatial(spatial: int, layers: Sequence[PublishedLayer]) -> Quality:
    """The quality that an index stands for; OFF for -1."""
    if spatial < 0:
        return Quality.OFF
    declared = _declared(layers)
    if not declared:
        return Quality(min(spatial, MAX_SPATIAL))
    return declared[min(spatial, len(declared) - 1)].quality


def spatial_for_size(width: int, height: int, layers: Sequence[PublishedLayer]) -> int | None:
    """The smallest layer of at least nine tenths of the asked size; None where no sizes were declared.

    Compared is the shorter side of the published picture, since an element is usually filled along it.
    """
    declared = _declared(layers)
    sized = [layer for layer in declared if layer.width and layer.height]
    if not sized or len(sized) < len(declared):
        return None
    is_portrait = sized[-1].width < sized[-1].height
    asked = (width or height) if is_portrait else (height or width)
    for index, layer in enumerate(declared):
        if (layer.width if is_portrait else layer.height) >= TOLERANCE * asked:
            return index
    return len(declared) - 1


def temporal_for_fps(fps: int, full_fps: float = 30.0, temporal_layers: int = 3) -> int:
    """The lowest temporal layer of at least nine tenths of `fps`, each layer doubling the rate of the one below."""
    if fps <= 0:
        return MAX_TEMPORAL
    for temporal in range(temporal_layers - 1):
        if full_fps / (1 << (temporal_layers - 1 - temporal)) >= TOLERANCE * fps:
            return temporal
    return MAX_TEMPORAL


def wanted_for(
    quality: Quality, width: int, height: int, fps: int, layers: Sequence[PublishedLayer]
) -> WantedLayers | None:
    """A subscriber's track setting as layers: the size decides where there is one, else the quality. None for OFF."""
    if quality is Quality.OFF:
        return None
    spatial = spatial_for_size(width, height, layers) if width > 0 or height > 0 else None
    if spatial is None:
        spatial = spatial_for_quality(quality, layers)
    return WantedLayers(spatial, temporal_for_fps(fps))


def choose_layer(wanted: int, available: Sequence[bool]) -> int | None:
    """The highest available layer up to `wanted`, else the lowest above it, else None."""
    for spatial in range(min(wanted, len(available) - 1), -1, -1):
        if available[spatial]:
            return spatial
    return next((spatial for spatial, there in enumerate(available) if there), None)
