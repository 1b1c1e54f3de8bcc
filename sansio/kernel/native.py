"""Which kernel runs: the compiled twin where it was built, else the one in Python.

The compiled one (`native/kernel`) is an optional part of the installation: it is there if a Rust toolchain was when this
package was installed. Everything works without it, and slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ..entropy import Entropy
from ..errors import LocalProtocolError
from .interface import Kernel
from .pure import PureKernel

KernelMaker: TypeAlias = Callable[[Entropy], Kernel]


class KernelChoice(NamedTuple):
    """What `choose_kernel` settled on."""

    name: str
    """`native` or `pure`."""
    reason: str
    """Why, for people."""
    make: KernelMaker


def choose_kernel(wanted: str = "") -> KernelChoice:
    """The kernel of that name; without one the fastest there is. Raises LocalProtocolError if the one asked for is not here."""
    native, missing = _find_native()
    match wanted:
        case "pure":
            return KernelChoice("pure", "asked for", PureKernel)
        case "native" if native is not None:
            return KernelChoice("native", "asked for", native)
        case "native":
            raise LocalProtocolError(f"the native kernel is not here: {missing}")
        case "" if native is not None:
            return KernelChoice("native", "it is installed", native)
        case "":
            return KernelChoice("pure", f"the native kernel is not here: {missing}", PureKernel)
        case _:
            raise LocalProtocolError(f"there is no kernel named {wanted}; there are native and pure")


def _find_native() -> tuple[KernelMaker | None, str]:
    """The compiled kernel, or why there is none."""
    try:
        from ._native import NativeKernel
    except ImportError as error:
        return None, str(error)
    return NativeKernel, ""
