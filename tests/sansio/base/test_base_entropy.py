"""Chance as a function of its seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.entropy import SeededEntropy, random_below, random_bits, random_choice, random_unit


def test_the_same_seed_gives_the_same_bytes_however_they_are_cut() -> None:
    whole, cut = SeededEntropy(7), SeededEntropy(7)
    assert whole(100) == b"".join(cut(n) for n in (1, 31, 0, 33, 35))


@pytest.mark.parametrize(("one", "other"), [(1, 2), ("a", "b"), (b"a", b"b"), (1, "11")])
def test_other_seeds_give_other_bytes(one: int | str | bytes, other: int | str | bytes) -> None:
    assert SeededEntropy(one)(32) != SeededEntropy(other)(32)


def test_a_child_has_its_own_stream_and_does_not_advance_its_parent() -> None:
    parent, twin = SeededEntropy(1), SeededEntropy(1)
    first, second = parent.child("a"), parent.child("b")
    assert len({first(16), second(16), parent.child("a").child("a")(16)}) == 3
    assert parent(16) == twin(16)
    assert parent.child("a")(16) == twin.child("a")(16)


@given(st.integers(), st.integers(1, 80))
def test_random_bits_stay_in_their_width(seed: int, bits: int) -> None:
    assert 0 <= random_bits(SeededEntropy(seed), bits) < 1 << bits


@given(st.integers(), st.integers(1, 1 << 40))
def test_random_below_stays_below(seed: int, limit: int) -> None:
    assert 0 <= random_below(SeededEntropy(seed), limit) < limit


def test_random_below_is_uniform() -> None:
    entropy = SeededEntropy(3)
    counts = Counter(random_below(entropy, 5) for _ in range(5000))
    assert all(800 < counts[value] < 1200 for value in range(5)), counts


def test_random_below_draws_again_what_lies_above_the_limit() -> None:
    drawn = iter((b"\xff", b"\xe0", b"\x40"))
    assert random_below(lambda n: next(drawn), 5) == 2


def test_random_unit_and_choice() -> None:
    entropy = SeededEntropy(4)
    units = [random_unit(entropy) for _ in range(200)]
    assert all(0 <= unit < 1 for unit in units)
    assert max(units) > 0.9
    assert {random_choice(entropy, "abc") for _ in range(50)} == set("abc")
