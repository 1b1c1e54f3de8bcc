"""Both roles against each other through random operations: whatever is done, texts parse and the order never changes."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from sdp_tools import track, transport

from sansio.sdp import Incoming, Negotiation, Wish, client_capabilities, parse, server_capabilities

KINDS = st.sampled_from(["audio", "video"])


@attrs.define
class Subscriber:
    """A server that adds and removes tracks, and a client that answers."""

    server: Negotiation = attrs.Factory(lambda: Negotiation(session_id=1, capabilities=server_capabilities()))
    client: Negotiation = attrs.Factory(lambda: Negotiation(session_id=2, capabilities=client_capabilities()))
    tracks: dict[str, int] = attrs.field(factory=dict)
    mids: tuple[str, ...] = ()
    next_ssrc: int = 1

    def add(self, kind: str, reuse: bool) -> None:
        outgoing = track(str(self.next_ssrc), self.next_ssrc)
        mid = self.server.add_outgoing(kind, outgoing, reuse=reuse)
        assert mid not in self.tracks
        self.tracks[mid] = self.next_ssrc
        self.next_ssrc += 1

    def remove(self, choice: int) -> None:
        if self.tracks:
            mid = sorted(self.tracks)[choice % len(self.tracks)]
            del self.tracks[mid]
            self.server.remove_outgoing(mid)

    def exchange(self) -> None:
        offer = self.server.offer(transport())
        remote = self.client.handle_offer(offer)
        self.server.handle_answer(self.client.answer(transport("active"), {}))
        mids = tuple(section.mid for section in parse(offer).media)
        assert mids[: len(self.mids)] == self.mids
        self.mids = mids
        sent = {section.mid: section.layer_ssrcs[0] for section in remote.sections if section.layer_ssrcs}
        assert sent == self.tracks
        for mid in mids:
            ours, theirs = self.server.section(mid), self.client.section(mid)
            assert ours is not None
            assert theirs is not None
            assert [codec.payload_type for codec in ours.codecs] == [codec.payload_type for codec in theirs.codecs]
            assert (ours.extensions, ours.direction.sends) == (theirs.extensions, theirs.direction.receives)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.just("add"), KINDS, st.booleans())
        | st.tuples(st.just("remove"), st.integers(0, 9))
        | st.tuples(st.just("exchange")),
        max_size=20,
    )
)
def test_server_offers(operations: list[tuple[str, ...]]) -> None:
    pair = Subscriber()
    for name, *arguments in operations:
        getattr(pair, name)(*arguments)
    pair.exchange()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["receive", "publish", "stop", "send", "empty"]), KINDS), max_size=20))
def test_client_offers_on_a_single_connection(operations: list[tuple[str, str]]) -> None:
    client = Negotiation(session_id=2, capabilities=client_capabilities())
    server = Negotiation(session_id=1, capabilities=server_capabilities(), is_single=True)
    client.add_application()
    wishes: dict[str, Wish] = {}
    published: list[str] = []
    sent: list[str] = []
    mids: tuple[str, ...] = ()
    for number, (name, kind) in enumerate(operations, 1):
        if name == "receive":
            client.add_receive(kind)
        elif name == "publish":
            published.append(client.add_publish(kind, track(f"p{number}", number), rids=("q", "h")))
            wishes[published[-1]] = Incoming()
        elif name == "stop" and published:
            client.remove_outgoing(published.pop())
        remote = server.handle_offer(client.offer(transport()))
        if name == "send" and server.free_receivers(kind):
            sent.append(server.free_receivers(kind)[0])
            wishes[sent[-1]] = track(f"s{number}", 1000 + number, rtx_ssrc=2000 + number)
        elif name == "empty" and sent:
            wishes[sent.pop()] = None
        assert mids == tuple(section.mid for section in remote.sections)[: len(mids)]
        mids = tuple(section.mid for section in remote.sections)
        heard = client.handle_answer(server.answer(transport("active"), wishes))
        assert {section.mid for section in heard.sections if section.track_id} == set(sent)
        for mid in published:
            section = client.section(mid)
            assert section is not None
            assert section.rids == ("q", "h")
