"""CPU time and memory of a process on this machine, from /proc (proc(5)); Linux only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import attrs

from .target import LoadError


@attrs.frozen(kw_only=True)
class Usage:
    """What a process used while it was watched."""

    cpu_seconds: float
    """User and system."""
    seconds: float
    memory_bytes: int
    """Resident at the end."""
    grown_bytes: int
    """By so much more than when the watch began."""

    @property
    def cores(self) -> float:
        return self.cpu_seconds / self.seconds if self.seconds > 0 else 0.0


class ProcessWatch:
    """One process. A process that ends keeps what was read last."""

    def __init__(self, pid: int, now: float) -> None:
        """Raises LoadError if there is no such process."""
        self._root = Path(f"/proc/{pid}")
        try:
            self._last = self._read()
        except (OSError, ValueError, IndexError) as error:
            raise LoadError(f"there is no process {pid} whose use of CPU can be read") from error
        self._before, self._began = self._last[0], now
        self._memory_before = self._last[1]

    def restart(self, now: float) -> None:
        """Count CPU from now on. Memory is still compared with what it was when the watch began."""
        self.usage(now)
        self._before, self._began = self._last[0], now

    def usage(self, now: float) -> Usage:
        with suppress(OSError, ValueError, IndexError):  # it may be gone
            self._last = self._read()
        cpu, memory = self._last
        return Usage(
            cpu_seconds=cpu - self._before,
            seconds=now - self._began,
            memory_bytes=memory,
            grown_bytes=memory - self._memory_before,
        )

    def _read(self) -> tuple[float, int]:
        fields = (self._root / "stat").read_text().rsplit(")", 1)[1].split()
        pages = int((self._root / "statm").read_text().split()[1])
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
