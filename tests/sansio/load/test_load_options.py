from __future__ import annotations

import pytest

from sansio.load import LoadOptions
from sansio.load.options import MOST_PACKET_BYTES, layers


@pytest.mark.parametrize("bitrate", [100_000, 500_000, 1_500_000, 4_000_000])
@pytest.mark.parametrize("fps", [10, 25, 60])
def test_the_top_layer_has_the_bitrate(bitrate: int, fps: int) -> None:
    made = layers(LoadOptions(bitrate_bps=bitrate, fps=fps))
    assert [layer.rid for layer in made] == ["q", "h", "f"]
    top = made[-1]
    assert top.packet_bytes <= MOST_PACKET_BYTES
    assert top.packets * top.packet_bytes * 8 * fps == pytest.approx(bitrate, rel=0.01)


def test_one_layer_is_the_top_one() -> None:
    (only,) = layers(LoadOptions(simulcast=False, bitrate_bps=4 * MOST_PACKET_BYTES * 8 * 50, fps=50))
    assert (only.rid, only.width, only.packets, only.packet_bytes) == ("", 1280, 4, MOST_PACKET_BYTES)


def test_a_layer_is_never_without_packets() -> None:
    assert [layer.packets for layer in layers(LoadOptions(bitrate_bps=1000, fps=60))] == [1, 1, 1]
