"""Runs one check under atheris, libFuzzer for Python.

A fuzz target is a module with a function `check(data: bytes)` that raises only where the code under test is wrong: an exception
that a parser may not raise, or a broken invariant. `python fuzz/fuzz_stun.py [libFuzzer options] CORPUS` fuzzes it; the tests
replay every file of the corpora in plain pytest, so that what was found once stays found.

Import this module first: when a target is run as a program, what is imported from `sansio` afterwards reports its coverage.

Where the compiled kernel is built, targets run on both kernels as one, which must answer the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT / "tests" / "kernel"))

_stack = ExitStack()
if Path(sys.argv[0]).name.startswith("fuzz_"):
    import atheris

    _stack.enter_context(atheris.instrument_imports(include=["sansio"], enable_loader_override=False))

from twins import both  # noqa: E402

from sansio.entropy import Entropy  # noqa: E402
from sansio.errors import LocalProtocolError  # noqa: E402
from sansio.kernel import Kernel, PureKernel  # noqa: E402
from sansio.kernel.native import KernelMaker, choose_kernel  # noqa: E402

NATIVE: KernelMaker | None = None
MISSING = ""
"""Why there is no compiled kernel."""
try:
    NATIVE = choose_kernel("native").make
except LocalProtocolError as error:
    MISSING = str(error)


def make_kernel(entropy: Entropy, *, compares_counters: bool = True) -> Kernel:
    """Both kernels as one; the one in Python where there is no other."""
    return both(entropy, NATIVE, compares_counters=compares_counters) if NATIVE else PureKernel(entropy)


def main(check: Callable[[bytes], None]) -> None:
    """Fuzz `check` until libFuzzer's limits or a crash."""
    _stack.close()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
