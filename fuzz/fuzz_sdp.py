"""Session descriptions: parsed or refused; encoding what was parsed is a fixed point, and an answer can be made to it."""

from __future__ import annotations

from harness import main

from sansio.sdp import Incoming, Negotiation, SdpError, TransportParameters, parse, server_capabilities

TRANSPORT = TransportParameters(
    ufrag="abcd", pwd="p" * 24, fingerprint=("sha-256", ":".join(["AB"] * 32)), setup="active"
)
CAPABILITIES = server_capabilities()


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        description = parse(text)
    except SdpError:
        return
    encoded = description.encode()
    assert parse(encoded).encode() == encoded
    negotiation = Negotiation(session_id=1, capabilities=CAPABILITIES, is_single=True)
    try:
        remote = negotiation.handle_offer(text)
    except SdpError:
        return
    wishes = {section.mid: Incoming() for section in remote.sections if section.kind != "application"}
    parse(negotiation.answer(TRANSPORT, wishes))


if __name__ == "__main__":
    main(check)
