"""Offers, and the answers to them."""

from __future__ import annotations

import attrs
import pytest
from sdp_tools import lines_of, payload_types, section_of, track, transport
from sdp_vectors import SUBSCRIBER_ANSWER

from sansio.errors import LocalProtocolError
from sansio.sdp import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    PLAYOUT_DELAY,
    TRANSPORT_CC,
    Capabilities,
    Direction,
    Incoming,
    Negotiation,
    RemoteDescription,
    SdpError,
    client_capabilities,
    parse,
    server_capabilities,
)


def server(capabilities: Capabilities | None = None) -> Negotiation:
    return Negotiation(session_id=7, capabilities=capabilities or server_capabilities())


def client() -> Negotiation:
    return Negotiation(session_id=8, capabilities=client_capabilities())


def subscriber() -> tuple[Negotiation, str]:
    """A server's negotiation with data channels, an audio and a video track, and its first offer."""
    negotiation = server()
    negotiation.add_application()
    negotiation.add_outgoing("audio", track("a", 10), reuse=True)
    negotiation.add_outgoing("video", track("v", 20, rtx_ssrc=21), reuse=True)
    return negotiation, negotiation.offer(transport())


def exchange(offerer: Negotiation, answerer: Negotiation) -> RemoteDescription:
    answerer.handle_offer(offerer.offer(transport()))
    return offerer.handle_answer(answerer.answer(transport("active"), {}))


class TestSubscriberOffer:
    def test_sections(self) -> None:
        offer = parse(subscriber()[1])
        assert offer.bundle == ("0", "1", "2")
        assert offer.extmap_allow_mixed
        assert [(section.kind, section.direction) for section in offer.media] == [
            ("application", "sendrecv"), ("audio", "sendonly"), ("video", "sendonly"),
        ]  # fmt: skip
        assert {section.setup for section in offer.media} == {"actpass"}
        assert [section.port for section in offer.media] == [9, 9, 9]

    def test_video(self) -> None:
        text = subscriber()[1]
        section = section_of(text, "2")
        assert payload_types(section) == [96, 97, 98, 99, 100, 101, 125, 126, 108, 109, 35, 36, 116, 117]
        assert section.codecs[0].feedback == ("ccm fir", "nack", "nack pli", "goog-remb")
        assert {extension.uri: extension.id for extension in section.extensions} == {
            DEPENDENCY_DESCRIPTOR: 1, ABS_CAPTURE_TIME: 2, ABS_SEND_TIME: 3,
        }  # fmt: skip
        lines = lines_of(text, "2")
        assert "a=ssrc-group:FID 20 21" in lines
        assert "a=msid:PA_x|TR_v TR_v" in lines
        assert "a=ssrc:21 msid:PA_x|TR_v TR_v" in lines

    def test_audio(self) -> None:
        section = section_of(subscriber()[1], "1")
        assert payload_types(section) == [111, 63, 0, 8]
        assert [(extension.uri, extension.id) for extension in section.extensions] == [(ABS_CAPTURE_TIME, 2)]
        assert section.ssrc_groups == ()

    def test_send_side_estimation_takes_the_place_of_remb(self) -> None:
        negotiation = server(server_capabilities(use_send_side_bwe=True, use_playout_delay=True))
        negotiation.add_outgoing("video", track("v", 1), reuse=True)
        section = section_of(negotiation.offer(transport()), "0")
        assert section.codecs[0].feedback[-1] == "transport-cc"
        uris = [extension.uri for extension in section.extensions]
        assert uris == [DEPENDENCY_DESCRIPTOR, ABS_CAPTURE_TIME, TRANSPORT_CC, PLAYOUT_DELAY]

    def test_stereo_and_preferred_codec(self) -> None:
        negotiation = server()
        negotiation.add_outgoing("audio", track("a", 1, stereo=True), reuse=True)
        preferring = attrs.evolve(track("v", 2), preferred=("video/AV1", "video/VP9"))
        negotiation.add_outgoing("video", preferring, reuse=True)
        offer = negotiation.offer(transport())
        assert section_of(offer, "0").codecs[0].fmtp == "minptime=10;useinbandfec=1;sprop-stereo=1"
        assert payload_types(section_of(offer, "1"))[:7] == [35, 36, 98, 99, 100, 101, 96]

    def test_data_channels_are_offered_once(self) -> None:
        negotiation = server()
        assert negotiation.add_application() == negotiation.add_application() == "0"


class TestAnswerOfChromium:
    def test_transport(self) -> None:
        negotiation, _ = subscriber()
        remote = negotiation.handle_answer(SUBSCRIBER_ANSWER)
        assert (remote.ufrag, remote.setup, negotiation.setup) == ("Ywhr", "active", "passive")
        assert len(remote.candidates) == 2
        assert not remote.ice_restart
        assert not negotiation.is_pending

    def test_agreed(self) -> None:
        negotiation, _ = subscriber()
        assert negotiation.section("2") is None
        negotiation.handle_answer(SUBSCRIBER_ANSWER)
        video = negotiation.section("2")
        assert video is not None
        assert video.direction == Direction.SENDONLY
        assert [codec.payload_type for codec in video.codecs] == [96, 97, 98, 99, 108, 109]
        assert video.rtx == {97: 96, 99: 98, 109: 108}
        assert video.extensions == {DEPENDENCY_DESCRIPTOR: 1, ABS_CAPTURE_TIME: 2, ABS_SEND_TIME: 3}
        assert video.allow_mixed
        assert video.has_nack

    def test_new_credentials_are_a_restart(self) -> None:
        negotiation, _ = subscriber()
        negotiation.handle_answer(SUBSCRIBER_ANSWER)
        negotiation.offer(transport(ufrag="other"))
        assert negotiation.handle_answer(SUBSCRIBER_ANSWER.replace("Ywhr", "next")).ice_restart

    def test_renumbered_formats_are_not_agreed(self) -> None:
        negotiation, _ = subscriber()
        answer = SUBSCRIBER_ANSWER.replace("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=video 9 UDP/TLS/RTP/SAVPF 55")
        answer = answer.replace("a=rtpmap:96", "a=rtpmap:55")
        video = next(section for section in negotiation.handle_answer(answer).sections if section.mid == "2")
        assert [codec.payload_type for codec in video.codecs] == [98, 99, 108, 109]

    @pytest.mark.parametrize(
        "broken",
        [
            SUBSCRIBER_ANSWER.rsplit("m=", 1)[0],
            SUBSCRIBER_ANSWER + "m=audio 0 UDP/TLS/RTP/SAVPF 0\n",
            SUBSCRIBER_ANSWER.replace("a=mid:2", "a=mid:9").replace("0 1 2", "0 1 9"),
            SUBSCRIBER_ANSWER.replace("m=video", "m=audio"),
            SUBSCRIBER_ANSWER.replace("a=setup:active", "a=setup:actpass"),
            SUBSCRIBER_ANSWER.replace("a=setup:active", ""),
            SUBSCRIBER_ANSWER.replace("a=ice-pwd", "a=x"),
            "hello",
        ],
        ids=["fewer", "more", "other mid", "other kind", "no choice", "no setup", "no pwd", "no description"],
    )
    def test_a_broken_answer_changes_nothing(self, broken: str) -> None:
        negotiation, _ = subscriber()
        with pytest.raises(SdpError):
            negotiation.handle_answer(broken)
        assert negotiation.is_pending
        assert negotiation.section("2") is None
        negotiation.handle_answer(SUBSCRIBER_ANSWER)

    def test_an_answer_without_an_offer(self) -> None:
        with pytest.raises(SdpError):
            server().handle_answer(SUBSCRIBER_ANSWER)
        negotiation, _ = subscriber()
        negotiation.handle_answer(SUBSCRIBER_ANSWER)
        with pytest.raises(SdpError):
            negotiation.handle_answer(SUBSCRIBER_ANSWER)

    def test_an_offer_from_the_answering_side(self) -> None:
        negotiation, offer = subscriber()
        with pytest.raises(SdpError):
            negotiation.handle_offer(offer)


class TestRefusedSection:
    def test_is_offered_with_port_zero_from_then_on(self) -> None:
        negotiation, _ = subscriber()
        refused = SUBSCRIBER_ANSWER.replace("m=video 9", "m=video 0").replace("BUNDLE 0 1 2", "BUNDLE 0 1")
        assert negotiation.handle_answer(refused).sections[2].rejected
        section = negotiation.section("2")
        assert section is not None
        assert section.rejected
        assert section.direction == Direction.INACTIVE
        assert negotiation.add_outgoing("video", track("w", 30), reuse=True) == "3"
        offer = parse(negotiation.offer(transport()))
        assert [media.port for media in offer.media] == [9, 9, 0, 9]
        assert offer.bundle == ("0", "1", "3")

    def test_stays_refused_whatever_the_answer_says(self) -> None:
        negotiation, _ = subscriber()
        refused = SUBSCRIBER_ANSWER.replace("m=video 9", "m=video 0").replace("BUNDLE 0 1 2", "BUNDLE 0 1")
        negotiation.handle_answer(refused)
        negotiation.offer(transport())
        assert negotiation.handle_answer(SUBSCRIBER_ANSWER).sections[2].rejected

    def test_without_a_common_codec(self) -> None:
        negotiation, _ = subscriber()
        answer = SUBSCRIBER_ANSWER.replace("VP8", "X8").replace("VP9", "X9").replace("H264", "X264")
        assert negotiation.handle_answer(answer).sections[2].rejected

    def test_data_channels(self) -> None:
        negotiation, _ = subscriber()
        answer = SUBSCRIBER_ANSWER.replace("m=application 9", "m=application 0").replace("BUNDLE 0 1 2", "BUNDLE 1 2")
        negotiation.handle_answer(answer)
        offer = parse(negotiation.offer(transport()))
        assert (offer.media[0].port, offer.media[0].formats) == (0, ("webrtc-datachannel",))
        assert offer.media[1].candidates
        assert negotiation.add_application() == "3"


class TestReuse:
    def test_only_after_an_answer_has_confirmed_the_emptying(self) -> None:
        offerer, answerer = server(), client()
        mid = offerer.add_outgoing("audio", track("a", 1), reuse=True)
        exchange(offerer, answerer)
        offerer.remove_outgoing(mid)
        assert offerer.add_outgoing("audio", track("b", 2), reuse=True) == "1"
        exchange(offerer, answerer)
        assert offerer.add_outgoing("audio", track("c", 3), reuse=True) == mid
        section = section_of(offerer.offer(transport()), mid)
        assert section.msid == ("PA_x|TR_c", "TR_c")
        assert [source.ssrc for source in section.ssrcs] == [3]

    def test_not_while_an_offer_that_still_sends_is_out(self) -> None:
        offerer = server()
        mid = offerer.add_outgoing("audio", track("a", 1), reuse=True)
        offerer.offer(transport())
        offerer.remove_outgoing(mid)
        assert offerer.add_outgoing("audio", track("b", 2), reuse=True) != mid

    def test_at_once_if_it_was_never_offered(self) -> None:
        offerer = server()
        mid = offerer.add_outgoing("audio", track("a", 1), reuse=True)
        offerer.remove_outgoing(mid)
        assert offerer.add_outgoing("audio", track("b", 2), reuse=True) == mid

    def test_not_when_it_is_not_wanted_or_of_another_kind(self) -> None:
        offerer, answerer = server(), client()
        mid = offerer.add_outgoing("audio", track("a", 1), reuse=True)
        exchange(offerer, answerer)
        offerer.remove_outgoing(mid)
        exchange(offerer, answerer)
        assert offerer.add_outgoing("video", track("b", 2), reuse=True) != mid
        assert offerer.add_outgoing("audio", track("c", 3), reuse=False) != mid

    def test_emptied_section_is_offered_inactive(self) -> None:
        offerer, answerer = server(), client()
        mid = offerer.add_outgoing("audio", track("a", 1), reuse=True)
        exchange(offerer, answerer)
        offerer.remove_outgoing(mid)
        section = section_of(offerer.offer(transport()), mid)
        assert (section.direction, section.port, section.msid, section.ssrcs) == (Direction.INACTIVE, 9, None, ())

    def test_unknown_section(self) -> None:
        with pytest.raises(LocalProtocolError):
            server().remove_outgoing("0")


def test_needs_offer_follows_changes() -> None:
    offerer, answerer = server(), client()
    seen = [offerer.needs_offer]
    mid = offerer.add_outgoing("audio", track("a", 1), reuse=True)
    seen.append(offerer.needs_offer)
    answerer.handle_offer(offerer.offer(transport()))
    seen.append(offerer.needs_offer)
    offerer.remove_outgoing(mid)
    offerer.handle_answer(answerer.answer(transport(), {}))
    seen.append(offerer.needs_offer)
    exchange(offerer, answerer)
    offerer.remove_outgoing(mid)
    seen.append(offerer.needs_offer)
    assert seen == [False, True, False, True, False]


def test_a_repeated_offer_takes_the_place_of_the_first() -> None:
    offerer, answerer = server(), client()
    offerer.add_outgoing("audio", track("a", 1), reuse=True)
    offerer.offer(transport())
    offerer.add_outgoing("audio", track("b", 2), reuse=True)
    remote = exchange(offerer, answerer)
    assert len(remote.sections) == 2


class TestClientRole:
    """The simulated client against the server's answers."""

    def test_first_single_offer(self) -> None:
        ours, theirs = client(), Negotiation(session_id=1, capabilities=server_capabilities(), is_single=True)
        for kind in ("audio", "audio", "video"):
            ours.add_receive(kind)
        ours.add_application()
        offer = ours.offer(transport())
        assert [section.direction for section in parse(offer).media] == ["recvonly"] * 3 + ["sendrecv"]
        theirs.handle_offer(offer)
        assert theirs.free_receivers("audio") == ["0", "1"]
        answer = theirs.answer(transport("active"), {"0": track("a", 1), "2": track("v", 2, rtx_ssrc=3)})
        sections = ours.handle_answer(answer).sections
        assert sections[2].layer_ssrcs == (2,)
        assert sections[2].fid == {2: 3}
        assert sections[2].stream_id == "PA_x|TR_v"
        assert sections[1].layer_ssrcs == ()
        agreed = [ours.section(mid) for mid in ours.mids]
        assert [section.direction for section in agreed if section] == ["recvonly"] * 3 + ["sendrecv"]
        assert ours.setup == "passive"
        assert theirs.setup == "active"

    def test_simulcast(self) -> None:
        ours, theirs = client(), server()
        mid = ours.add_publish("video", track("cam", 5, rtx_ssrc=6), rids=("f", "h", "q"))
        offer = ours.offer(transport())
        assert section_of(offer, mid).ssrcs == ()
        assert section_of(offer, mid).msid == ("PA_x|TR_cam", "TR_cam")
        assert theirs.handle_offer(offer).sections[0].rids_send == ("f", "h", "q")
        ours.handle_answer(theirs.answer(transport(), {mid: Incoming(preferred=("video/H264",))}))
        section = ours.section(mid)
        assert section is not None
        assert section.rids == ("f", "h", "q")
        assert section.codecs[0].name == "H264"
        assert section.direction == Direction.SENDONLY

    def test_video_without_rtx(self) -> None:
        ours, theirs = client(), server()
        outgoing = track("cam", 5, rtx_ssrc=6)
        mid = ours.add_publish("video", outgoing, only_preferred=True, use_rtx=False)
        offer = ours.offer(transport())
        section = section_of(offer, mid)
        assert not any(codec.is_rtx for codec in section.codecs)
        assert section.ssrc_groups == ()
        assert theirs.handle_offer(offer).sections[0].layer_ssrcs == (5,)

    def test_wishes_of_the_server_reach_the_client(self) -> None:
        ours, theirs = client(), server()
        mid = ours.add_publish("audio", track("mic", 5))
        theirs.handle_offer(ours.offer(transport()))
        ours.handle_answer(theirs.answer(transport(), {mid: Incoming()}))
        section = ours.section(mid)
        assert section is not None
        assert [codec.name for codec in section.codecs][:2] == ["red", "opus"]
        assert "usedtx=1" in section.codecs[1].fmtp

    def test_unpublishing(self) -> None:
        ours, theirs = client(), server()
        mid = ours.add_publish("audio", track("mic", 5))
        exchange(ours, theirs)
        ours.remove_outgoing(mid)
        exchange(ours, theirs)
        section = theirs.section(mid)
        assert section is not None
        assert section.direction == Direction.INACTIVE

    def test_answers_the_servers_offer(self) -> None:
        ours = client()
        negotiation, offer = subscriber()
        remote = ours.handle_offer(offer)
        assert [section.stream_id for section in remote.sections[1:]] == ["PA_x|TR_a", "PA_x|TR_v"]
        answer = ours.answer(transport("active"), {})
        assert [section.direction for section in parse(answer).media[1:]] == ["recvonly", "recvonly"]
        negotiation.handle_answer(answer)
        agreed = negotiation.section("2")
        assert agreed is not None
        assert [codec.payload_type for codec in agreed.codecs[:2]] == [96, 97]
        assert "audio/H265" not in {codec.name for codec in agreed.codecs}


def test_answering_before_an_offer_came() -> None:
    negotiation = server()
    assert negotiation.mids == ()
    assert negotiation.free_receivers("audio") == []
    assert not negotiation.needs_offer
    assert not negotiation.is_pending
    negotiation.add_application()
    with pytest.raises(LocalProtocolError):
        negotiation.answer(transport(), {})
