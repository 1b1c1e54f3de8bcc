"""Chance for the core: a callable `entropy(n)` that returns n bytes, and what is drawn from it.

A driver passes `os.urandom`; tests and simulations pass a `SeededEntropy`, whose output is a function of its seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol, TypeVar

T = TypeVar("T")


class Entropy(Protocol):
    """`entropy(n)` gives n fresh random bytes."""

    def __call__(self, n: int, /) -> bytes: ...


class SeededEntropy:
    """A repeatable byte stream: SHA-256 over (seed, counter). For tests and simulation, never for keys of real peers."""

    def __init__(self, seed: int | str | bytes) -> None:
        self._key = seed if isinstance(seed, bytes) else str(seed).encode()
        self._counter = 0
        self._pool = b""

    def __call__(self, n: int, /) -> bytes:
        while len(self._pool) < n:
            self._pool += sha256(b"%d:%b:%d" % (len(self._key), self._key, self._counter)).digest()
            self._counter += 1
        out, self._pool = self._pool[:n], self._pool[n:]
        return out

    def child(self, name: str) -> SeededEntropy:
        """An independent stream for `name`; does not advance this one."""
        return SeededEntropy(b"%b/%b" % (self._key, name.encode()))


def random_bits(entropy: Entropy, bits: int) -> int:
    """A uniform integer of so many bits."""
    return int.from_bytes(entropy((bits + 7) // 8), "big") >> (-bits % 8)


def random_below(entropy: Entropy, limit: int) -> int:
    """A uniform integer in 0 .. limit-1, by rejection."""
    bits = (limit - 1).bit_length()
    while (value := random_bits(entropy, bits)) >= limit:
        pass
    return value


def random_unit(entropy: Entropy) -> float:
    """A uniform float in 0 <= x < 1, of 53 bits."""
    return random_bits(entropy, 53) / (1 << 53)


def random_choice(entropy: Entropy, items: Sequence[T]) -> T:
    """One of the items, each as likely."""
    return items[random_below(entropy, len(items))]
