"""Bad input on twins: whatever comes, both kernels answer the same, and nothing raises. The fuzzer goes on where this ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest
from bad_input import Ordeal
from conftest import MakeKernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

T = TypeVar("T")
COMPARED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)


class Draws:
    """Hypothesis as a source of choices."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def __bool__(self) -> bool:
        return True

    def number(self, limit: int) -> int:
        return self._draw(st.integers(0, limit - 1))

    def pick(self, items: Sequence[T]) -> T:
        return items[self.number(len(items))]

    def flag(self) -> bool:
        return self._draw(st.booleans())

    def block(self, most: int = 1500) -> bytes:
        return self._draw(st.binary(max_size=most))


@pytest.mark.parametrize("make_kernel", ["twins"], indirect=True)
@COMPARED
@given(data=st.data(), steps=st.integers(1, 50))
def test_twins_bear_bad_input_alike(make_kernel: MakeKernel, data: st.DataObject, steps: int) -> None:
    Ordeal(make_kernel(1), Draws(data)).run(steps)
