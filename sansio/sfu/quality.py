"""How good a connection is: a score per track from loss, delay and bitrate, and what clients are told of it.

The score runs from 0 to 100 and resembles the R factor of the E-model (ITU-T G.107), from which a MOS follows. Constants
and levels are LiveKit's, so that its clients draw the bars they are used to. It falls quickly and recovers slowly.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from math import log, sqrt
from typing import NamedTuple

from .stats import Window

MAX_SCORE = 100.0
FLOOR = 30.0
"""Bad media scores no lower; less means that there is none."""
DRY = 40.0
LOST = 20.0
PAUSED = 30.0
RISE, FALL = 0.4, 0.8
INTERVAL = 5.0

_LOSS_WEIGHTS = {"audio/opus": 8.0, "audio/red": 4.0}
_VIDEO_LOSS_WEIGHT = 10.0
_FEC_BENEFIT = 1.5
_RATE_BIN = 2
_MIN_READINGS = 10
_RATE_PERIOD = 120.0


class ConnectionQuality(IntEnum):
    """Numbers of LiveKit's ConnectionQuality."""

    POOR = 0
    GOOD = 1
    EXCELLENT = 2
    LOST = 3


class Score(NamedTuple):
    value: float
    quality: ConnectionQuality

    @property
    def mos(self) -> float:
        """Mean opinion score, 1 to 4.5 (ITU-T G.107 annex B)."""
        return mos(self.value)


def quality_of(score: float) -> ConnectionQuality:
    if score > 80:
        return ConnectionQuality.EXCELLENT
    if score > 40:
        return ConnectionQuality.GOOD
    return ConnectionQuality.POOR if score > 20 else ConnectionQuality.LOST


def mos(score: float) -> float:
    if score <= 0:
        return 1.0
    if score >= MAX_SCORE:
        return 4.5
    return 1 + 0.035 * score + 7e-6 * score * (score - 60) * (100 - score)


def worst(scores: Iterable[float]) -> Score:
    """A participant's score: that of the worst track; without tracks all is well."""
    value = min(scores, default=MAX_SCORE)
    return Score(value, quality_of(value))


def loss_weight(mime_type: str, *, has_fec: bool = False) -> float:
    """How much a percent of lost packets hurts."""
    weight = _LOSS_WEIGHTS.get(mime_type.lower())
    if weight is None:
        return _VIDEO_LOSS_WEIGHT if mime_type.lower().startswith("video/") else _LOSS_WEIGHTS["audio/opus"]
    return weight / _FEC_BENEFIT if has_fec else weight


def packet_score(window: Window, weight: float) -> float:
    """Of delay and loss."""
    delay_ms = window.rtt * 500 + 2 * window.jitter_ms
    delay_effect = delay_ms / 40 if delay_ms <= 160 else (delay_ms - 120) / 10
    lost = max(window.lost - window.out_of_order, 0)
    loss_effect = 100 * lost / (window.packets + lost) * weight if window.packets + lost else 0.0
    return max(MAX_SCORE - delay_effect - loss_effect, 0.0)


def bitrate_score(expected_bits: float, actual_bits: float) -> float:
    """Of sending less than the declared layers would take."""
    if expected_bits <= 0 or actual_bits >= expected_bits:
        return MAX_SCORE
    if actual_bits <= 0:
        return 0.0
    return max(MAX_SCORE - 20 * log(expected_bits / actual_bits), 0.0)


def layer_score(average_distance: float) -> float:
    """Of forwarding so many layers below what is wanted."""
    return max(MAX_SCORE - 35 * average_distance, 0.0)


class PacketRates:
    """The usual packet rate of a stream, so that loss among the few packets of DTX or a still screen weighs less."""

    __slots__ = ("_bins", "_since", "mode")

    def __init__(self, now: float) -> None:
        self._bins: dict[int, int] = {}
        self._since = now
        self.mode = 0.0

    def add(self, now: float, rate: float) -> None:
        bin_ = int(rate // _RATE_BIN)
        self._bins[bin_] = self._bins.get(bin_, 0) + 1
        if now - self._since >= _RATE_PERIOD:
            if sum(self._bins.values()) > _MIN_READINGS:
                most = max(self._bins, key=lambda key: self._bins[key])
                self.mode = (most + 0.5) * _RATE_BIN
            self._bins.clear()
            self._since = now

    def factor(self, rate: float) -> float:
        return sqrt(min(1.0, rate / self.mode)) if self.mode > 0 else 1.0


class QualityScorer:
    """The score of one track in one direction; give it a window every `INTERVAL`."""

    __slots__ = ("_is_muted", "_is_paused", "_rates", "_unmuted_at", "_weight", "value")

    def __init__(self, now: float, mime_type: str, *, has_fec: bool = False) -> None:
        self._weight = loss_weight(mime_type, has_fec=has_fec)
        self._rates = PacketRates(now)
        self._is_muted = False
        self._is_paused = False
        self._unmuted_at = now
        self.value = MAX_SCORE

    def set_muted(self, now: float, muted: bool) -> None:
        """A muted track is as good as can be, unless its connection was lost."""
        if muted and not self._is_muted and self.value > LOST:
            self.value = MAX_SCORE
        if self._is_muted and not muted:
            self._unmuted_at = now
        self._is_muted = muted

    def set_paused(self, paused: bool) -> None:
        """Held back for want of bandwidth."""
        self._is_paused = paused
        if paused:
            self.value = min(self.value, PAUSED)

    def handle_window(
        self, now: float, window: Window, *, expected_bits: float = 0.0, layer_distance: float = 0.0
    ) -> Score:
        """The score after another window. One of which half or more was muted tells nothing."""
        if not self._is_muted and not self._is_paused and now - self._unmuted_at >= window.duration / 2:
            self._move_to(self._sample(now, window, expected_bits, layer_distance))
        return Score(self.value, quality_of(self.value))

    def _sample(self, now: float, window: Window, expected_bits: float, layer_distance: float) -> float:
        if window.packets <= 0:
            return DRY if window.is_reporting else LOST
        rate = window.packets / window.duration if window.duration > 0 else 0.0
        self._rates.add(now, rate)
        score = min(
            packet_score(window, self._weight * self._rates.factor(rate)),
            bitrate_score(expected_bits, window.bytes * 8),
            layer_score(layer_distance),
        )
        return max(score, FLOOR)

    def _move_to(self, sample: float) -> None:
        if sample in (DRY, LOST):
            self.value = min(self.value, sample) if sample == LOST else sample
            return
        factor = FALL if sample < self.value else RISE
        self.value += factor * (sample - self.value)
