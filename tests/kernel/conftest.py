"""The kernels that each test of this directory runs on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twins import twins

from sansio.entropy import SeededEntropy
from sansio.errors import LocalProtocolError
from sansio.kernel import Kernel
from sansio.kernel.native import KernelMaker, choose_kernel
from sansio.kernel.pure import PureKernel

MakeKernel = Callable[[int], Kernel]


def _seeded(make: KernelMaker) -> MakeKernel:
    return lambda seed: make(SeededEntropy(seed))


KERNELS: dict[str, MakeKernel] = {"pure": _seeded(PureKernel)}
try:
    NATIVE = _seeded(choose_kernel("native").make)
    KERNELS |= {"native": NATIVE, "twins": lambda seed: twins(PureKernel(SeededEntropy(seed)), NATIVE(seed))}
except LocalProtocolError as error:
    MISSING = str(error)


@pytest.fixture(params=["native", "pure", "twins"], scope="session")
def make_kernel(request: pytest.FixtureRequest) -> MakeKernel:
    """A fresh kernel for a seed; for tests that need several, and for properties."""
    made = KERNELS.get(str(request.param))
    if made is None:
        pytest.skip(MISSING)
    return made


@pytest.fixture
def kernel(make_kernel: MakeKernel) -> Kernel:
    return make_kernel(1)
