"""Fuzz bytes as choices: numbers, picks and byte strings, so that a mutation of the input changes one decision.

Runs dry gracefully: after the last byte every number is 0 and every string empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads decisions off the front of the fuzzer's input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def number(self, limit: int) -> int:
        """0 .. limit-1."""
        return int.from_bytes(self.take((limit - 1).bit_length() // 8 + 1), "big") % limit

    def pick(self, items: Sequence[T]) -> T:
        return items[self.number(len(items))]

    def flag(self) -> bool:
        return bool(self.number(2))

    def take(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def block(self, most: int = 1500) -> bytes:
        """A byte string with its length before it."""
        return self.take(self.number(most + 1))

    def text(self, most: int = 400) -> str:
        return self.block(most).decode("utf-8", "replace")

    def rest(self) -> bytes:
        return self.take(len(self._data))
