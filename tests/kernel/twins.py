"""Both kernels as one: every call goes to both, and what they answer must be equal.

As a third kernel of the fixtures this compares bytes, notices and counters in each test of the directory, the properties
among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from sansio.errors import LocalProtocolError
from sansio.kernel import AudioLevel, Kernel
from sansio.outputs import Batch


class Twins:
    """See the module's text. Streams and legs are remembered, so that their counters are compared after each call."""

    def __init__(self, specification: Kernel, twin: Kernel) -> None:
        self._both = (specification, twin)
        self._streams: list[int] = []
        self._legs: list[int] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: object, **named: object) -> object:
            expected, found = (_outcome(getattr(one, name), args, named) for one in self._both)
            assert _plain(found) == _plain(expected), name
            if isinstance(expected, LocalProtocolError):
                raise expected
            self._note(name, args, expected)
            return expected

        return call

    def _note(self, name: str, args: tuple[object, ...], result: object) -> None:
        match name:
            case "add_stream":
                self._streams.append(cast(int, result))
            case "add_leg":
                self._legs.append(cast(int, result))
            case "stream_stats" | "leg_stats" | "poll_transmits":
                return
        for getter, slots in (("stream_stats", self._streams), ("leg_stats", self._legs)):
            for slot in slots:
                expected, found = (_outcome(getattr(one, getter), (slot,), {}) for one in self._both)
                assert _plain(found) == _plain(expected), (name, args, getter)


def twins(specification: Kernel, twin: Kernel) -> Kernel:
    return cast(Kernel, Twins(specification, twin))


def _outcome(call: Callable[..., object], args: tuple[object, ...], named: dict[str, object]) -> object:
    try:
        return call(*args, **named)
    except LocalProtocolError as error:
        return error


def _plain(outcome: object) -> object:
    """What can be compared."""
    if isinstance(outcome, LocalProtocolError):
        return "misuse"
    if isinstance(outcome, AudioLevel):
        # Newer Pythons add floats up with less error.
        return [round(value, 6) for value in outcome]
    if isinstance(outcome, list) and outcome and isinstance(outcome[0], Batch):
        return [datagram for batch in outcome for datagram in batch]
    return outcome
