"""Who is speaking in a room (RFC 6464 levels, LiveKit's rules).

Once per update interval the room asks the kernel for the levels of each microphone track since the last time and hands
them in. A window counts as speech if enough of it was at or above the active level; its loudness is the loudest packet's,
less what the silent part takes away, smoothed over a few windows. What leaves are only differences: levels in steps of an
eighth that changed, and those who stopped.
"""

from __future__ import annotations

from collections.abc import Hashable
from math import ceil, log10
from typing import Generic, NamedTuple, TypeVar

from ..config import AudioConfig
from ..kernel import AudioLevel

P = TypeVar("P", bound=Hashable)

STEPS = 8
STALE_WINDOWS = 2
"""Windows without a packet after which a level is 0."""


class SpeakerChange(NamedTuple, Generic[P]):
    participant: P
    level: float
    """0 to 1 in eighths."""
    active: bool


class _Loudness:
    """One participant's smoothed level."""

    __slots__ = ("active_ms", "heard_at", "loudest", "observed_ms", "smoothed")

    def __init__(self) -> None:
        self.smoothed = 0.0
        self.heard_at = 0.0
        self.forget()

    def forget(self) -> None:
        self.observed_ms = 0.0
        self.active_ms = 0.0
        self.loudest = 127

    def add(self, at: float, level: AudioLevel) -> None:
        self.heard_at = at
        self.observed_ms += level.observed_ms
        self.active_ms += level.active_ms
        self.loudest = min(self.loudest, level.loudest)


class ActiveSpeakers(Generic[P]):
    """The speakers of one room."""

    __slots__ = ("_config", "_known", "_now", "_pending", "_threshold", "_told")

    def __init__(self, config: AudioConfig | None = None) -> None:
        self._config = config or AudioConfig()
        self._threshold = 10 ** (-self._config.active_level / 20)
        self._known: dict[P, _Loudness] = {}
        self._pending: dict[P, tuple[float, AudioLevel]] = {}
        self._told: dict[P, float] = {}
        self._now = 0.0

    def observe(self, now: float, participant: P, level: AudioLevel) -> None:
        """Levels of one microphone track since the last interval; of several tracks the loudest counts."""
        self._now = now
        if level.observed_ms <= 0:
            return
        known = self._pending.get(participant)
        if known is None or _rank(level) > _rank(known[1]):
            self._pending[participant] = (now, level)

    def mute(self, participant: P) -> None:
        """Silent from now on."""
        if (loudness := self._known.get(participant)) is not None:
            loudness.smoothed = 0.0
            loudness.forget()
        self._pending.pop(participant, None)

    def remove(self, participant: P) -> None:
        """The participant left; nobody needs to be told."""
        self._known.pop(participant, None)
        self._pending.pop(participant, None)
        self._told.pop(participant, None)

    def changes(self, now: float | None = None) -> list[SpeakerChange[P]]:
        """Close the interval: those whose level changed, loudest first, then those who stopped. `now` defaults to that of
        the last observation."""
        self._now = now = self._now if now is None else now
        for participant, (at, level) in self._pending.items():
            self._known.setdefault(participant, _Loudness()).add(at, level)
        self._pending.clear()
        for loudness in self._known.values():
            self._evaluate(now, loudness)
        before, self._told = self._told, dict(self._levels())
        changed = [SpeakerChange(p, level, True) for p, level in self._told.items() if before.get(p) != level]
        return changed + [SpeakerChange(p, 0.0, False) for p in before if p not in self._told]

    @property
    def speakers(self) -> list[SpeakerChange[P]]:
        """All who speak, loudest first, as they were last told; for newcomers."""
        return [SpeakerChange(participant, level, True) for participant, level in self._told.items()]

    def _evaluate(self, now: float, loudness: _Loudness) -> None:
        window_ms = self._config.update_interval
        if loudness.observed_ms < window_ms / 2:
            # Too little to judge, as with the sparse packets of DTX: collect on, but not for ever.
            if now - loudness.heard_at >= STALE_WINDOWS * window_ms / 1000 - 1e-9:
                loudness.smoothed = 0.0
                loudness.forget()
            return
        share = min(loudness.active_ms / loudness.observed_ms, 1.0)
        if share * 100 >= self._config.min_percentile:
            adjusted = loudness.loudest - 20 * log10(share)
            linear = 10 ** (-adjusted / 20)
            loudness.smoothed += (linear - loudness.smoothed) * 2 / (self._config.smooth_intervals + 1)
        else:
            loudness.smoothed = 0.0
        loudness.forget()

    def _levels(self) -> list[tuple[P, float]]:
        active = [(p, known.smoothed) for p, known in self._known.items() if known.smoothed >= self._threshold]
        active.sort(key=lambda pair: -pair[1])
        return [(participant, min(ceil(level * STEPS) / STEPS, 1.0)) for participant, level in active]


def _rank(level: AudioLevel) -> tuple[float, int]:
    return level.active_ms, -level.loudest
