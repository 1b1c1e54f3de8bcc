"""Serial number arithmetic (RFC 1982) and the widening of wire counters to ever-growing integers.

Machines keep extended (widened) numbers inside and cut them to wire width at the border.
"""

from __future__ import annotations


def serial_newer(a: int, b: int, bits: int = 16) -> bool:
    """Whether serial `a` comes after `b`; the exact opposite point counts as not newer (RFC 1982 §3.2)."""
    half = 1 << (bits - 1)
    return 0 < ((a - b) & ((1 << bits) - 1)) < half


def serial_difference(a: int, b: int, bits: int = 16) -> int:
    """The signed distance from `b` to `a`, in -2^(bits-1) .. 2^(bits-1)-1."""
    half = 1 << (bits - 1)
    return ((a - b + half) & ((1 << bits) - 1)) - half


def widen(value: int, reference: int, bits: int = 16) -> int:
    """The extended number nearest to `reference` whose low `bits` are `value`. May be negative near zero."""
    return reference + serial_difference(value, reference & ((1 << bits) - 1), bits)
