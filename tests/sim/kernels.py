"""Simulations whose nodes run on the kernel in Python, on the compiled one, or on both as one.

Clients stay on the kernel in Python, so that a node's kernel is all that differs between two runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

sys.path.append(str(Path(__file__).parents[1] / "kernel"))

from twins import both

from sansio.errors import LocalProtocolError
from sansio.kernel import PureKernel
from sansio.kernel.native import KernelMaker, choose_kernel

KERNELS: dict[str, KernelMaker] = {"pure": PureKernel}
MISSING = ""
try:
    NATIVE = choose_kernel("native").make
    KERNELS |= {"native": NATIVE, "twins": partial(both, native=NATIVE, compares_counters=False)}
except LocalProtocolError as error:
    MISSING = str(error)


def has_native() -> bool:
    return not MISSING


def need_native() -> None:
    """Skip the test where there is no compiled kernel; under CI, which builds it, fail."""
    if MISSING and os.environ.get("CI"):
        pytest.fail(f"{MISSING} (CI is to build it)", pytrace=False)
    if MISSING:
        pytest.skip(MISSING)


@contextmanager
def nodes_on(kernel: str) -> Iterator[None]:
    """Nodes made meanwhile run on that kernel, with the chance of their own."""
    with patch("sansio.node.PureKernel", KERNELS[kernel]):
        yield
