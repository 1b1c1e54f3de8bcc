"""SCTP packets into an association that waits, and one that is established."""

from __future__ import annotations

from choices import Choices
from harness import main

from sansio.entropy import SeededEntropy
from sansio.sctp import Association


def check(data: bytes) -> None:
    choices = Choices(data)
    one, two = Association(entropy=SeededEntropy(1)), Association(entropy=SeededEntropy(2))
    one.start(0.0)
    two.start(0.0)
    now = 0.0
    for _ in range(choices.number(8)):
        for sender, receiver in ((one, two), (two, one)):
            for packet in sender.poll_transmits():
                receiver.handle_packet(now, packet)
    for _ in range(32):
        if not choices:
            break
        now += choices.number(256) / 64
        packet = choices.block()
        if choices.flag():
            # A packet with the right ports and, as checksums may be left out, a zero checksum.
            packet = b"\x13\x88\x13\x88" + packet[:4] + bytes(4) + packet[4:]
        one.handle_packet(now, packet)
        one.handle_timeout(now)
        for out in one.poll_transmits():
            assert len(out) <= 1191
        one.poll_events()


if __name__ == "__main__":
    main(check)
