"""Data packets of a participant: routed with the right sender, or dropped for a reason."""

from __future__ import annotations

from harness import main

from sansio.errors import DropReason
from sansio.room.data import LOSSY, RELIABLE, Nonces, Sender, accept
from sansio.wire import models


def check(data: bytes) -> None:
    sender = Sender(identity="alice", sid="PA_alice")
    sender.is_agent = bool(data and data[0] & 1)
    nonces = Nonces()
    for kind in (RELIABLE, LOSSY):
        routed = accept(sender, data[1:], kind, nonces)
        if isinstance(routed, DropReason):
            continue
        packet = models.DataPacket.FromString(routed.data)
        assert packet.participant_sid == "PA_alice"
        assert packet.participant_identity == "alice" or sender.is_agent


if __name__ == "__main__":
    main(check)
