"""Batched system calls (`native/udp`), where they were built."""

from collections.abc import Sequence
from typing import final

from typing_extensions import Buffer

from sansio import Address, Run

@final
class BatchSocket:
    def __init__(self, fileno: int, local: Address, segment: bool) -> None: ...
    def receive(self, limit: int) -> tuple[list[tuple[Address, Address, bytes]], list[float]]: ...
    def send(self, arena: Buffer, runs: Sequence[Run]) -> tuple[int, int]: ...
    def close(self) -> None: ...
