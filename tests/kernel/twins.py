"""Both kernels as one: every call goes to both, and what they answer must be equal.

As a third kernel of the fixtures this compares bytes, notices and counters in each test of the directory, the properties
among them. `both` makes one out of chance alone, for simulations and fuzzing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any, cast

from sansio.entropy import Entropy
from sansio.errors import LocalProtocolError
from sansio.kernel import AudioLevel, Kernel, PureKernel
from sansio.kernel.native import KernelMaker
from sansio.outputs import RUN_RECORD, Batch, Packed, Run

NOTED = {"open_session": "last_arrival", "add_stream": "stream_stats", "add_leg": "leg_stats"}
"""What returns a slot, and the getter that shows what became of it."""
NOWHERE = ("", 0)


class Twins:
    """See the module's text. Slots are remembered, so that their counters are compared after each call."""

    def __init__(self, specification: Kernel, twin: Kernel, *, compares_counters: bool = True) -> None:
        self._both = (specification, twin)
        self._compares_counters = compares_counters
        self._slots: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: object, **named: object) -> object:
            expected, found = (_outcome(getattr(one, name), args, named) for one in self._both)
            assert _plain(found) == _plain(expected), name
            if isinstance(expected, LocalProtocolError):
                raise expected
            if name in NOTED:
                self._slots.append((NOTED[name], cast(int, expected)))
            if self._compares_counters and name not in NOTED.values():
                self._compare_counters(name, args)
            return expected

        return call

    def _compare_counters(self, name: str, args: tuple[object, ...]) -> None:
        for getter, slot in self._slots:
            expected, found = (_outcome(getattr(one, getter), (slot,), {}) for one in self._both)
            assert _plain(found) == _plain(expected), (name, args, getter)


class Echo:
    """Chance for two: what one has drawn the other draws again."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._drawn: deque[bytes] = deque()

    def draw(self, n: int, /) -> bytes:
        self._drawn.append(self._entropy(n))
        return self._drawn[-1]

    def draw_again(self, n: int, /) -> bytes:
        drawn = self._drawn.popleft()
        assert len(drawn) == n, "the twins draw differently"
        return drawn


def twins(specification: Kernel, twin: Kernel, *, compares_counters: bool = True) -> Kernel:
    return cast(Kernel, Twins(specification, twin, compares_counters=compares_counters))


def both(entropy: Entropy, native: KernelMaker, *, compares_counters: bool = True) -> Kernel:
    """The kernel in Python and its twin, with the same chance."""
    echo = Echo(entropy)
    return twins(PureKernel(echo.draw), native(echo.draw_again), compares_counters=compares_counters)


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
        return [datagram for batch in outcome for datagram in _datagrams(batch)]
    return outcome


def _datagrams(batch: Batch) -> list[object]:
    """What a batch sends. How datagrams lie in runs is each kernel's own affair, if the packed runs say the same."""
    for run in batch.runs:
        assert 0 <= run.start < run.end <= len(batch.arena), run
        assert run.segment_bytes > 0, run
    if batch.packed is not None:
        assert list(_unpack(batch.packed)) == [_addressed(run) for run in batch.runs]
    datagrams: list[object] = list(batch)
    assert len(batch) == len(datagrams)
    return datagrams


def _unpack(packed: Packed) -> Iterator[Run]:
    """The runs that a compiled driver reads."""
    for start, end, segment_bytes, port, version, local, address in RUN_RECORD.iter_unpack(packed.records):
        remote = (str(ip_address(address[: 4 if version == 4 else 16])), port) if version else NOWHERE
        yield Run(packed.locals[local], remote, start, end, segment_bytes)


def _addressed(run: Run) -> Run:
    """As it can be packed: what is no IP address is left out."""
    try:
        ip_address(run.remote[0])
    except ValueError:
        return run._replace(remote=NOWHERE)
    return run
