"""Identifiers: the shapes that clients test for (signalling M-1)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sansio.entropy import SeededEntropy
from sansio.ids import base62, mint, mint_node, mint_participant, mint_room, mint_track, token_word

WORD = "[23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz]{12}"


@pytest.mark.parametrize(
    ("make", "prefix"),
    [
        pytest.param(mint_room, "RM_", id="room"),
        pytest.param(mint_participant, "PA_", id="participant"),
        pytest.param(mint_node, "ND_", id="node"),
        pytest.param(lambda entropy: mint("DTR_", entropy), "DTR_", id="data track"),
    ],
)
def test_an_id_is_a_prefix_and_twelve_plain_characters(make: Callable[[SeededEntropy], str], prefix: str) -> None:
    entropy = SeededEntropy(1)
    made = {make(entropy) for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(prefix + WORD, one) for one in made)


@pytest.mark.parametrize(
    ("kind", "source", "letters"),
    [
        ("audio", "microphone", "AM"),
        ("audio", "screen_share_audio", "As"),
        ("audio", "unknown", "A"),
        ("video", "camera", "VC"),
        ("video", "screen_share", "VS"),
        ("video", "", "V"),
    ],
)
def test_a_track_id_tells_kind_and_source(kind: str, source: str, letters: str) -> None:
    assert re.fullmatch(f"TR_{letters}{WORD}", mint_track(SeededEntropy(2), kind, source))


def test_words_of_letters_and_digits() -> None:
    assert re.fullmatch("[0-9A-Za-z]{43}", base62(SeededEntropy(1), 32))
    assert re.fullmatch("[0-9A-Za-z]{24}", token_word(SeededEntropy(1), 24))
    assert token_word(SeededEntropy(1), 24) == token_word(SeededEntropy(1), 24)
