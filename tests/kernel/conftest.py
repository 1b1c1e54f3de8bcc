"""The kernels that each test of this directory runs on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sansio.entropy import SeededEntropy
from sansio.kernel import Kernel
from sansio.kernel.pure import PureKernel

MakeKernel = Callable[[int], Kernel]

KERNELS: dict[str, MakeKernel] = {"pure": lambda seed: PureKernel(SeededEntropy(seed))}


@pytest.fixture(params=sorted(KERNELS), scope="session")
def make_kernel(request: pytest.FixtureRequest) -> MakeKernel:
    """A fresh kernel for a seed; for tests that need several, and for properties."""
    return KERNELS[str(request.param)]


@pytest.fixture
def kernel(make_kernel: MakeKernel) -> Kernel:
    return make_kernel(1)
