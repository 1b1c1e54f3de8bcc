"""Runs one check under atheris, libFuzzer for Python.

A fuzz target is a module with a function `check(data: bytes)` that raises only where the code under test is wrong: an exception
that a parser may not raise, or a broken invariant. `python fuzz/fuzz_stun.py [libFuzzer options] CORPUS` fuzzes it; the tests
replay every file of the corpora in plain pytest, so that what was found once stays found.

Import this module first: when a target is run as a program, what is imported from `sansio` afterwards reports its coverage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

_stack = ExitStack()
if Path(sys.argv[0]).name.startswith("fuzz_"):
    import atheris

    _stack.enter_context(atheris.instrument_imports(include=["sansio"], enable_loader_override=False))


def main(check: Callable[[bytes], None]) -> None:
    """Fuzz `check` until libFuzzer's limits or a crash."""
    _stack.close()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
