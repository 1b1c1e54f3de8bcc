"""Which kernel runs."""

from __future__ import annotations

import sys

import pytest

from sansio import LocalProtocolError, choose_kernel
from sansio.entropy import SeededEntropy
from sansio.kernel import PureKernel


class Compiled:
    """What stands in for the extension module."""

    NativeKernel = PureKernel


@pytest.fixture(params=[True, False], ids=["built", "not built"])
def is_built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setitem(sys.modules, "sansio.kernel._native", Compiled if request.param else None)
    return bool(request.param)


def test_best_kernel_is_taken_if_none_is_named(is_built: bool) -> None:
    choice = choose_kernel()
    assert choice.name == ("native" if is_built else "pure")
    assert choice.reason.startswith("it is installed" if is_built else "the native kernel is not here: ")
    assert choice.make(SeededEntropy(1)).poll_transmits() == []


def test_pure_kernel_is_always_there(is_built: bool) -> None:
    assert choose_kernel("pure")[:2] == ("pure", "asked for")


def test_native_kernel_must_be_there_if_it_is_named(is_built: bool) -> None:
    if is_built:
        assert choose_kernel("native")[:2] == ("native", "asked for")
    else:
        with pytest.raises(LocalProtocolError, match="the native kernel is not here"):
            choose_kernel("native")


def test_other_names_are_refused(is_built: bool) -> None:
    with pytest.raises(LocalProtocolError, match="there is no kernel named fast"):
        choose_kernel("fast")
