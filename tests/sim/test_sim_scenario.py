"""The scenario over 200 seeds, each twice: everything arrives, and nothing but the seed decides how.

The first seeds are tests of their own; the rest is one slow test on all cores, whose second runs are on the compiled kernel where
there is one. SIM_SEEDS=400 runs as many.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from scenario import Call, complaint

ALWAYS = 20
ALL = int(os.environ.get("SIM_SEEDS", 200))


@pytest.mark.parametrize("seed", range(ALWAYS))
def test_all_media_and_all_data_arrive(seed: int) -> None:
    first, second = Call(seed).run(), Call(seed).run()
    assert first == second, f"seed {seed} is not repeated"
    assert first.messages
    assert first.audio
    assert first.video


@pytest.mark.slow
def test_all_media_and_all_data_arrive_for_many_seeds() -> None:
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        assert [text for text in pool.map(complaint, range(ALWAYS, ALL), chunksize=4) if text] == []
