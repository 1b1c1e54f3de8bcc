"""Every file of the fuzzing corpora goes through its target again, as do some bytes that are in none.

Targets that have a kernel in them run on both as one. Where the compiled one is not built they run on the other, and a target
that is about both is skipped; under CI, which builds it, that fails.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sansio.entropy import SeededEntropy, random_below

FUZZ = Path(__file__).parents[2] / "fuzz"
KERNEL = Path(__file__).parents[1] / "kernel"
TARGETS = sorted(path.stem for path in FUZZ.glob("fuzz_*.py"))
ROUNDS = 40


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Callable[[bytes], None]]:
    monkeypatch.setattr(sys, "path", [str(FUZZ), *sys.path, str(KERNEL)])
    module = importlib.import_module(request.param)
    if missing := getattr(module, "NEEDS", ""):
        if os.environ.get("CI"):
            pytest.fail(f"{missing} (CI is to build it)", pytrace=False)
        pytest.skip(missing)
    return request.param, module.check


def test_the_corpus_raises_nothing(target: tuple[str, Callable[[bytes], None]]) -> None:
    name, check = target
    seeds = sorted((FUZZ / "corpus" / name.removeprefix("fuzz_")).iterdir())
    assert seeds, f"{name} has no seeds: python fuzz/seeds.py writes them"
    for seed in seeds:
        check(seed.read_bytes())


def test_cut_and_changed_seeds_raise_nothing(target: tuple[str, Callable[[bytes], None]]) -> None:
    name, check = target
    entropy = SeededEntropy(name)
    for seed in sorted((FUZZ / "corpus" / name.removeprefix("fuzz_")).iterdir())[:8]:
        data = bytearray(seed.read_bytes())
        for _ in range(ROUNDS // 8):
            for _ in range(random_below(entropy, 4)):
                if data:
                    data[random_below(entropy, len(data))] = entropy(1)[0]
            check(bytes(data[: random_below(entropy, len(data) + 1)]))
