"""Whole calls with either kernel: what is delivered, sent and reported is the same, to the byte and the moment.

More seeds are in the slow test of the scenario, more of what can happen in a call in the scenarios of media.
"""

from __future__ import annotations

import pytest
from kernels import need_native, nodes_on
from scenario import Call

SEEDS = 12


@pytest.fixture(autouse=True)
def _both_are_here() -> None:
    need_native()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_call_is_the_same_with_either_kernel(seed: int) -> None:
    outcomes = []
    for kernel in ("pure", "native"):
        with nodes_on(kernel):
            outcomes.append(Call(seed).run())
    assert outcomes[0] == outcomes[1]


def test_digest_tells_calls_apart() -> None:
    with nodes_on("native"):
        assert Call(0).run() != Call(1).run()


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_is_the_same_throughout_a_call(seed: int) -> None:
    """Bytes that were lost on the way too, which no digest has seen."""
    with nodes_on("twins"):
        found = Call(seed).run()
    assert found == Call(seed).run()
