"""Whether a layer is live, judged by its packet counter once per cycle.

The first packets make a layer live at once. A cycle without any makes it stopped, and then it has to be seen in several
cycles in a row before it counts again, lest subscribers follow a layer that flaps. A layer that stopped because nobody
watches it, or because the track was muted, did nothing wrong: it starts afresh. So does one whose sender said goodbye, but
not by its counter alone, which what was under way before the goodbye still moves.
"""

from __future__ import annotations


class LayerTracker:
    """One layer. `required_cycles` is how long a layer that failed must prove itself."""

    __slots__ = ("_count", "_good_cycles", "_has_left", "_is_fresh", "_required_cycles", "is_live")

    def __init__(self, required_cycles: int) -> None:
        self._required_cycles = required_cycles
        self._count = 0
        self._good_cycles = 0
        self._is_fresh = True
        self._has_left = False
        self.is_live = False

    @property
    def is_fresh(self) -> bool:
        """Whether its next packet makes it live."""
        return self._is_fresh and not self.is_live

    def handle_media(self, count: int) -> bool:
        """Media was seen between cycles; whether the layer became live by it."""
        if not self.is_fresh:
            return False
        self.is_live, self._is_fresh, self._has_left, self._count = True, False, False, count
        return True

    def handle_goodbye(self) -> None:
        """Its sender says that it stops."""
        self.is_live, self._is_fresh, self._has_left = False, True, True

    def handle_cycle(self, count: int, *, is_stop_expected: bool) -> bool:
        """A cycle ended with the counter at `count`; whether liveness changed."""
        progress, self._count = count - self._count, count
        self._good_cycles = self._good_cycles + 1 if progress > 0 else 0
        if self.is_live:
            if progress > 0:
                return False
            self.is_live, self._is_fresh = False, is_stop_expected
            return True
        is_believed = self._is_fresh and not self._has_left
        if progress > 0 and (is_believed or self._good_cycles >= self._required_cycles):
            self.is_live, self._is_fresh, self._has_left = True, False, False
            return True
        return False

    def restart(self, count: int) -> None:
        """Forgive a past stop: the next packet makes a stopped layer live."""
        self._count = count
        self._good_cycles = 0
        self._has_left = False
        if not self.is_live:
            self._is_fresh = True

    def reset(self) -> None:
        """The layer's stream is gone or another."""
        self._count = 0
        self._good_cycles = 0
        self._is_fresh = True
        self._has_left = False
        self.is_live = False
