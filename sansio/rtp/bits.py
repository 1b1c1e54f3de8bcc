"""Bits, most significant first: what codec headers and the dependency descriptor are made of.

Codes: fixed width, `ns(n)` and `uvlc()` (AV1 bitstream specification §4.10.7, §4.10.3), Exp-Golomb `ue(v)` and `se(v)`
(ITU-T H.264 §9.1).
"""

from __future__ import annotations

from ..errors import LocalProtocolError
from .packet import Buffer, RtpError


class BitReader:
    """Reads from the first bit of `data` on; raises RtpError at the end."""

    __slots__ = ("_size", "_value", "position")

    def __init__(self, data: Buffer) -> None:
        self._value = int.from_bytes(data, "big")
        self._size = 8 * len(data)
        self.position = 0
        """Bits read so far."""

    def read(self, bits: int) -> int:
        self.position = position = self.position + bits
        left = self._size - position
        if left < 0:
            raise RtpError("bits cut short")
        return self._value >> left & (1 << bits) - 1

    def skip(self, bits: int) -> None:
        self.read(bits)

    def flag(self) -> bool:
        return self.read(1) == 1

    def non_symmetric(self, n: int) -> int:
        """A number in 0 .. n-1, in as few bits as that takes."""
        width = n.bit_length()
        short_codes = (1 << width) - n
        value = self.read(width - 1)
        if value < short_codes:
            return value
        return (value << 1) - short_codes + self.read(1)

    def exp_golomb(self) -> int:
        """`ue(v)`: at most 32 bits, as longer ones occur in no field."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise RtpError("Exp-Golomb code too long")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed_exp_golomb(self) -> int:
        """`se(v)`."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


class BitWriter:
    """Collects bits; the inverse of `BitReader`."""

    __slots__ = ("_size", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._size = 0

    def write(self, value: int, bits: int) -> None:
        if not 0 <= value < 1 << bits:
            raise LocalProtocolError(f"{value} does not fit {bits} bits")
        self._value = self._value << bits | value
        self._size += bits

    def flag(self, value: bool) -> None:
        self.write(int(value), 1)

    def non_symmetric(self, value: int, n: int) -> None:
        """`value` of 0 .. n-1 as `ns(n)`."""
        if not 0 <= value < n:
            raise LocalProtocolError(f"{value} is not below {n}")
        width = n.bit_length()
        short_codes = (1 << width) - n
        if value < short_codes:
            self.write(value, width - 1)
        else:
            self.write(value + short_codes, width)

    def exp_golomb(self, value: int) -> None:
        """`ue(v)`."""
        width = (value + 1).bit_length()
        self.write(value + 1, 2 * width - 1)

    @property
    def bits(self) -> int:
        return self._size

    def to_bytes(self) -> bytes:
        """Everything written, padded with zero bits to whole bytes."""
        padding = -self._size % 8
        return (self._value << padding).to_bytes((self._size + padding) // 8, "big")
