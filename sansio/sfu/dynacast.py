"""What a publisher is told to send: the highest layer that any subscriber needs, per codec of a track.

A subscriber gets one codec of a track at a time, and reports here what it needs of it; the machine says when the publisher
has to hear of it. A raise is told at once, as someone waits for it. A fall waits for a few seconds, since viewers scroll and
come back. Ten seconds after the track was published the state is told in any case, so that a track that nobody watches is
switched off. While the publisher is muted nothing is told; all is repeated afterwards.

Nudges. libwebrtc starts its top layers only when it has found the bandwidth for them. It looks for that by probes in the first
second of a connection; a camera that comes a moment later than that finds them wasted (on packets of a microphone, which
carry no transport-wide numbers) and then creeps up by 8 % a second. It probes again when the sum of its enabled layers
changes. So a watched layer that has not come a while after the lower ones is switched off and on again, twice at most.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

import attrs

from ..timers import TimerTable
from .layers import Quality

S = TypeVar("S", bound=Hashable)

PAUSE_DELAY = 5.0
FIRST_EVALUATION = 10.0
NUDGE_AFTER = (0.9, 2.0)
"""Seconds from the first layer to the first nudge, and from there to the second."""
NUDGE_DURATION = 0.1


@attrs.frozen
class QualitiesChanged:
    """For each codec, in order of publication: its MIME type, and whether low, medium and high are needed."""

    codecs: tuple[tuple[str, tuple[bool, bool, bool]], ...]


class DynacastTimer(Enum):
    FALL = "layers no longer watched"
    FIRST = "first evaluation"
    NUDGE = "layers watched but not sent"
    NUDGED = "end of a nudge"


class Dynacast(Generic[S]):
    """One published video track. `S` is whatever names a subscriber."""

    __slots__ = (
        "_events", "_is_muted", "_lacking", "_needs", "_nudges", "_pause_delay", "_timers", "_told",
    )  # fmt: skip

    def __init__(self, now: float, codecs: tuple[str, ...] = (), *, pause_delay: float = PAUSE_DELAY) -> None:
        self._needs: dict[str, dict[S, Quality]] = {codec: {} for codec in codecs}
        self._told: dict[str, int] = {}  # codec: levels needed, 0 for none
        self._is_muted = False
        self._lacking: dict[str, int] = {}  # lower-case codec that lacks upper levels: how many are sent
        self._nudges = 0
        self._pause_delay = pause_delay
        self._events: list[QualitiesChanged] = []
        self._timers: TimerTable[DynacastTimer] = TimerTable()
        self._timers.set(DynacastTimer.FIRST, now + FIRST_EVALUATION)

    def set_subscriber(self, now: float, subscriber: S, codec: str, quality: Quality | None) -> None:
        """The highest quality that `subscriber` needs of `codec`, and so of no other; None or OFF: nothing (it left, or wants
        nothing)."""
        needs = self._needs.setdefault(codec, {})
        moved = [other.pop(subscriber, None) for other in self._needs.values() if other is not needs]
        before = needs.pop(subscriber, None)
        if quality is not None and quality is not Quality.OFF:
            needs[subscriber] = quality
        if needs.get(subscriber) != before or any(other is not None for other in moved):
            self._evaluate(now)

    def remove_subscriber(self, now: float, subscriber: S) -> None:
        """Nothing is needed for `subscriber` in any codec."""
        removed = [needs.pop(subscriber, None) for needs in self._needs.values()]
        if any(quality is not None for quality in removed):
            self._evaluate(now)

    def add_codec(self, codec: str) -> None:
        """The track is (or can be) published in another codec too."""
        if codec not in self._needs:
            self._needs[codec] = {}
        if self._told and codec not in self._told:
            self._tell()

    def note_levels(self, now: float, codec: str, sent: int, published: int) -> None:
        """So many levels of `codec` have come, of those that the publisher has: 1 is low alone, 3 all."""
        if sent >= published:
            self._lacking.pop(codec.lower(), None)
            return
        self._lacking[codec.lower()] = sent
        if self._nudges < len(NUDGE_AFTER):
            self._timers.set_if_unset(DynacastTimer.NUDGE, now + NUDGE_AFTER[self._nudges])

    def rename_codec(self, old: str, new: str) -> None:
        """What was announced as one codec comes as another: what is needed of it stays needed, under the new name."""
        if old == new or old not in self._needs:
            return
        needs = self._needs.pop(new, {}) | self._needs[old]
        # The publisher reads the first entry as that of its main codec, so the place in the order is kept.
        self._needs = {new if codec == old else codec: needs if codec == old else n for codec, n in self._needs.items()}
        for levels in (self._told, self._lacking):
            if old in levels:
                levels[new] = max(levels.pop(old), levels.get(new, 0))
        if self._told:
            self._tell(hold=True)

    def settle(self) -> None:
        """Tell what fell now, without the wait: subscribers have moved to another codec for good (codec regression)."""
        if self._told and self._told != self._current():
            self._tell()

    def set_muted(self, muted: bool) -> None:
        was_muted, self._is_muted = self._is_muted, muted
        if was_muted and not muted and self._told:
            self._tell(hold=True)

    def restart(self, now: float) -> None:
        """The publisher may have forgotten: tell everything again (resume, migration)."""
        if self._told:
            self._tell()
        self._timers.set(DynacastTimer.FIRST, now + FIRST_EVALUATION)

    def handle_timeout(self, now: float) -> None:
        expired = self._timers.expire(now)
        settles = DynacastTimer.FALL in expired or DynacastTimer.FIRST in expired
        if DynacastTimer.NUDGED in expired:
            self._tell(hold=not settles)
        elif settles and self._told != self._current():
            self._tell()
        if DynacastTimer.NUDGE in expired:
            self._nudge(now)

    def poll_events(self) -> list[QualitiesChanged]:
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        return self._timers.next()

    @property
    def codecs(self) -> tuple[str, ...]:
        return tuple(self._needs)

    def max_quality(self, codec: str) -> Quality:
        """The highest that any subscriber needs, OFF if none."""
        needs = self._needs.get(codec)
        return max(needs.values()) if needs else Quality.OFF

    def _levels(self, codec: str) -> int:
        quality = self.max_quality(codec)
        return 0 if quality is Quality.OFF else quality + 1

    def _current(self) -> dict[str, int]:
        return {codec: self._levels(codec) for codec in self._needs}

    def _evaluate(self, now: float) -> None:
        current = self._current()
        if current == self._told:
            self._timers.cancel(DynacastTimer.FALL)
            return
        if any(levels > self._told.get(codec, 0) for codec, levels in current.items()):
            # A raise goes out with whatever fell meanwhile held at its old level until that has waited long enough.
            self._tell(hold=True)
        if any(levels < self._told.get(codec, 0) for codec, levels in current.items()):
            self._timers.set_if_unset(DynacastTimer.FALL, now + self._pause_delay)

    def _nudge(self, now: float) -> None:
        """Switch off for a moment what is watched but does not come."""
        levels = {codec: min(count, self._lacking.get(codec.lower(), count)) for codec, count in self._told.items()}
        if levels == self._told or self._is_muted:
            return
        self._nudges += 1
        self._events.append(_event(levels))
        self._timers.set(DynacastTimer.NUDGED, now + NUDGE_DURATION)
        if self._nudges < len(NUDGE_AFTER):
            self._timers.set(DynacastTimer.NUDGE, now + NUDGE_AFTER[self._nudges])

    def _tell(self, *, hold: bool = False) -> None:
        levels = self._current()
        if hold:
            levels = {codec: max(count, self._told.get(codec, 0)) for codec, count in levels.items()}
        else:
            self._timers.cancel(DynacastTimer.FALL)
        self._told = levels
        if not self._is_muted:
            self._events.append(_event(levels))


def _event(levels: dict[str, int]) -> QualitiesChanged:
    return QualitiesChanged(tuple((codec, (n > 0, n > 1, n > 2)) for codec, n in levels.items()))
