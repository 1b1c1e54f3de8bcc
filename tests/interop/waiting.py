"""Waits with deadlines, and asyncio scenarios as plain tests."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = 20.0
"""Seconds for anything to happen. Far above what is usual: a busy machine makes a test slow, not red."""
SCENARIO_SECONDS = 90.0
POLL_INTERVAL = 0.02


async def eventually(read: Callable[[], T], what: str, *, within: float = DEADLINE) -> T:
    """Poll until `read` gives something true, and return that. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + within
    while not (value := read()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what} (last seen: {value!r})"
        await asyncio.sleep(POLL_INTERVAL)
    return value


async def stays_false(read: Callable[[], object], what: str, *, seconds: float = 0.5) -> None:
    """Hold that nothing comes of `read` for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = read()
        assert not value, f"{what} (seen: {value!r})"
        await asyncio.sleep(POLL_INTERVAL)


def scenario(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Make a test of a coroutine function of asyncio, which is what LiveKit's Python clients need."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(SCENARIO_SECONDS):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run
