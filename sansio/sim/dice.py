"""Choices of a simulation, all from one seeded stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from ..entropy import SeededEntropy, random_below, random_choice, random_unit

T = TypeVar("T")
Table: TypeAlias = Sequence[tuple[int, T]]
"""What may happen, each with how often; first what happens if all goes well."""


class Dice:
    """Chance that repeats for its seed."""

    __slots__ = ("entropy",)

    def __init__(self, entropy: SeededEntropy) -> None:
        self.entropy = entropy

    def child(self, name: str) -> Dice:
        """Chance of its own, which takes nothing from this one."""
        return Dice(self.entropy.child(name))

    def chance(self, share: float) -> bool:
        return random_unit(self.entropy) < share

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * random_unit(self.entropy)

    def count(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + random_below(self.entropy, high - low + 1)

    def one_of(self, items: Sequence[T]) -> T:
        return random_choice(self.entropy, items)

    def draw(self, table: Table[T], mishaps: float = 1.0) -> T:
        """A row of the table; all rows but the first come so many times as often as they say."""
        weights = [weight * (mishaps if number else 1.0) for number, (weight, _) in enumerate(table)]
        point = random_unit(self.entropy) * sum(weights)
        for weight, (_, item) in zip(weights, table, strict=True):
            if point < weight:
                return item
            point -= weight
        return table[-1][1]
