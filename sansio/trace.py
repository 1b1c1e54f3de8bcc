"""What the core lets an observer see while it works, and the redaction of personal data on the way.

`Trace` is a protocol with one method. The default keeps nothing and costs one call; the simulator records for its digest;
the driver's goes to debug logs.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol


class Trace(Protocol):
    """Receives observations; must not call back into the core."""

    def note(self, now: float, subject: str, what: str, **details: object) -> None: ...


class NullTrace:
    """Keeps nothing."""

    def note(self, now: float, subject: str, what: str, **details: object) -> None:
        pass


NULL_TRACE = NullTrace()


def redact(value: str) -> str:
    """A short stable stand-in for an address or identity, so that lines can be matched without naming anyone."""
    return sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:8] if value else ""
