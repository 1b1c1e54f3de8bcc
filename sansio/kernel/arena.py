"""Where datagrams to send are built: chunks of memory, and the runs that lie in them.

A chunk is written once, from front to back, over as many polls as fit, and is then left to whoever still holds a batch of
it: no handed-out byte changes, and no copy is made. Datagrams to one destination that follow each other with one size (the
last may be shorter) become one run, which a driver may hand to the system in one call (UDP segmentation offload).
"""

from __future__ import annotations

from typing import Any, Final

from ..outputs import Address, Batch, Run
from .srtp import TRAILER_BYTES, ffi

CHUNK_BYTES: Final = 256 * 1024
MAX_RUN_BYTES: Final = 60_000
"""A run must fit the length field of one IP packet with headers to spare."""
MAX_RUN_DATAGRAMS: Final = 64
"""UDP_MAX_SEGMENTS of older Linux kernels."""

Path = tuple[Address, Address]

# The memory is not cleared: only bytes that were written are ever handed out.
_allocate: Final[Any] = ffi.new_allocator(should_clear_after_alloc=False)


class Arena:
    """Builds datagrams in place and hands them out as batches.

    To add one: `make_room(bytes)`, write it at `view[top:]`, protect it in place there, then `commit(path, end)`.
    """

    __slots__ = ("_batches", "_count", "_path", "_runs", "_segment", "_start", "base", "length", "top", "view")

    top: int
    """Where the next datagram starts."""

    def __init__(self) -> None:
        self.length: Any = ffi.new("int *")  # the in and out argument of libsrtp
        self._batches: list[Batch] = []
        self._runs: list[Run] = []
        self._path: Path | None = None  # of the open run
        self._start = 0
        self._segment = 0
        self._count = 0
        self._new_chunk()

    def make_room(self, needed_bytes: int) -> int:
        """Where the next datagram starts, with at least so many bytes and a trailer behind."""
        if self.top + needed_bytes + TRAILER_BYTES > CHUNK_BYTES:
            self._finish_chunk()
            self._new_chunk()
        return self.top

    def commit(self, path: Path, end: int) -> None:
        """The bytes from `top` to `end` are a datagram for `path`."""
        start = self.top
        size = end - start
        count = self._count
        if (
            path is self._path
            and size <= self._segment
            and count < MAX_RUN_DATAGRAMS
            and end - self._start <= MAX_RUN_BYTES
        ):
            self._count = count + 1
            self.top = end
            if size < self._segment:
                self._close_run()
            return
        self._close_run()
        self.top = end
        self._path = path
        self._start = start
        self._segment = size
        self._count = 1

    def add(self, path: Path, data: bytes) -> None:
        """A datagram made elsewhere."""
        start = self.make_room(len(data))
        end = start + len(data)
        self.view[start:end] = data
        self.commit(path, end)

    def poll_transmits(self) -> list[Batch]:
        """What was committed since the last call, in order."""
        self._close_run()
        if self._runs:
            self._batches.append(Batch(self.view, self._runs))
            self._runs = []
        batches, self._batches = self._batches, []
        return batches

    def _close_run(self) -> None:
        path = self._path
        if path is not None:
            self._runs.append(Run(path[0], path[1], self._start, self.top, self._segment))
            self._path = None

    def _finish_chunk(self) -> None:
        self._close_run()
        if self._runs:
            self._batches.append(Batch(self.view, self._runs))
            self._runs = []

    def _new_chunk(self) -> None:
        self.base: Any = _allocate("unsigned char[]", CHUNK_BYTES)
        self.view = memoryview(ffi.buffer(self.base))
        self.top = 0
