from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.load.histogram import Histogram


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(st.floats(1e-5, 3600.0), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_quantiles_are_right_to_a_hundredth(values: list[float], share: float) -> None:
    ordered = sorted(values)
    exact = next(value for index, value in enumerate(ordered, 1) if index >= share * len(ordered))
    assert filled(values).quantile(share) == pytest.approx(exact, rel=0.0101)


def test_nothing_has_quantiles_of_zero() -> None:
    assert Histogram().quantile(0.5) == 0.0


@pytest.mark.parametrize("value", [-1.0, 0.0, 1e-9, 1e9], ids=["below zero", "zero", "tiny", "huge"])
def test_any_value_is_taken(value: float) -> None:
    histogram = filled([value])
    assert (histogram.count, histogram.quantile(0.99) <= max(value, 0.0)) == (1, True)


def test_several_make_one() -> None:
    whole = Histogram.of([filled([0.001] * 50), filled([1.0] * 50), Histogram()])
    assert (whole.count, whole.max) == (100, 1.0)
    assert whole.quantile(0.5) == pytest.approx(0.001, rel=0.0101)
    assert whole.quantile(0.95) == pytest.approx(1.0, rel=0.0101)


def test_clearing_forgets() -> None:
    histogram = filled([1.0])
    histogram.clear()
    assert (histogram.count, histogram.max, histogram.quantile(0.5)) == (0, 0.0, 0.0)
