"""The scenario over many seeds, each twice: everything arrives, and nothing but the seed decides how.

The first seeds run always; SIM_SEEDS=200 runs as many as the acceptance asks for, best over all cores:

    SIM_SEEDS=200 pytest -n auto tests/sim/test_sim_scenario.py
"""

from __future__ import annotations

import os

import pytest
from scenario import Call

ALWAYS = 20
SEEDS = [
    pytest.param(seed, marks=[pytest.mark.slow] if seed >= ALWAYS else [])
    for seed in range(int(os.environ.get("SIM_SEEDS", ALWAYS)))
]


@pytest.mark.parametrize("seed", SEEDS)
def test_all_media_and_all_data_arrive(seed: int) -> None:
    first, second = Call(seed).run(), Call(seed).run()
    assert first == second, f"seed {seed} is not repeated"
    assert first.messages
    assert first.audio
    assert first.video
