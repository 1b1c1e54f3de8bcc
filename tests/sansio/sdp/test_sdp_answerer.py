"""Answers to what clients offer, mostly to captured offers."""

from __future__ import annotations

import pytest
from sdp_tools import (
    CANDIDATE,
    FINGERPRINT,
    lines_of,
    payload_types,
    renumber,
    section_of,
    single_offer,
    track,
    transport,
)
from sdp_vectors import PUBLISH_OFFER, VIDEO_RECEIVE_SECTION

from sansio.errors import LocalProtocolError
from sansio.sdp import (
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
    Capabilities,
    Direction,
    Incoming,
    Negotiation,
    RemoteSection,
    Rid,
    SdpError,
    Wish,
    parse,
    server_capabilities,
)

H264_ONLY = "m=video 9 UDP/TLS/RTP/SAVPF 123\na=mid:9\na=rtpmap:123 H264/90000\na=fmtp:123 profile-level-id=640032\n"


def server(*, is_single: bool = False, capabilities: Capabilities | None = None) -> Negotiation:
    return Negotiation(session_id=7, capabilities=capabilities or server_capabilities(), is_single=is_single)


def publish(wishes: dict[str, Wish], offer: str = PUBLISH_OFFER) -> str:
    negotiation = server()
    negotiation.handle_offer(offer)
    return negotiation.answer(transport("active"), wishes)


class TestReadingAnOffer:
    remote = server().handle_offer(PUBLISH_OFFER)

    def test_transport(self) -> None:
        assert (self.remote.ufrag, self.remote.setup) == ("Ie9N", "actpass")
        assert self.remote.fingerprints[0][0] == "sha-256"
        assert len(self.remote.candidates) == 2
        assert not self.remote.end_of_candidates
        assert not self.remote.ice_restart

    def test_sections(self) -> None:
        assert [(section.mid, section.kind) for section in self.remote.sections] == [
            ("0", "application"), ("1", "audio"), ("2", "video"), ("3", "video"),
        ]  # fmt: skip
        assert not any(section.rejected for section in self.remote.sections)

    def test_data_channels(self) -> None:
        section = self.remote.sections[0]
        assert (section.sctp_port, section.max_message_size) == (5000, 262144)

    def test_audio(self) -> None:
        section = self.remote.sections[1]
        assert section.direction == Direction.SENDONLY
        assert [codec.name for codec in section.codecs] == ["opus", "red", "PCMU", "PCMA"]
        assert section.extensions == {AUDIO_LEVEL: 1, MID: 4}
        assert section.track_id == "eb01e33b-c945-4085-9cc7-a5d69ad9951e"
        assert section.layer_ssrcs == (2104708346,)

    def test_simulcast(self) -> None:
        section = self.remote.sections[2]
        assert section.rids_send == ("q", "h", "f")
        assert section.layer_ssrcs == ()
        assert section.extensions == {TRANSPORT_CC: 3, MID: 4, RID: 10, REPAIRED_RID: 11, DEPENDENCY_DESCRIPTOR: 12}
        assert section.extmap_allow_mixed

    def test_one_ssrc_with_retransmission(self) -> None:
        section = self.remote.sections[3]
        assert section.layer_ssrcs == (1424230647,)
        assert section.fid == {1424230647: 758981358}

    def test_what_a_section_can_make_us_hold_is_bounded(self) -> None:
        many = "".join(
            f"a=ssrc:{n} cname:c\na=ssrc-group:SIM {' '.join(map(str, range(n, n + 50)))}\na=rid:r{n} send\n"
            for n in range(1, 100)
        )
        section = server().handle_offer(PUBLISH_OFFER + many.replace("SIM", "FID")).sections[-1]
        assert len(section.ssrcs) == 32
        assert len(section.ssrc_groups) == 32
        assert max(len(ssrcs) for _, ssrcs in section.ssrc_groups) == 32
        assert len(section.rids_send) == 8

    def test_layers_of_a_sim_group(self) -> None:
        section = RemoteSection(
            index=0, mid="0", kind="video", direction=Direction.SENDONLY, rejected=False,
            ssrc_groups=(("FID", (1, 11)), ("SIM", (1, 2, 3))),
        )  # fmt: skip
        assert section.layer_ssrcs == (1, 2, 3)


class TestPublishAnswer:
    def test_payload_types_and_order_of_sections_are_the_offerers(self) -> None:
        answer = parse(publish({}))
        assert [section.mid for section in answer.media] == ["0", "1", "2", "3"]
        assert [section.port for section in answer.media] == [9, 9, 9, 9]
        assert (
            payload_types(answer.media[2])
            == [96, 97, 102 + 6, 109, 114, 115, 45, 46, 98, 99][: len(answer.media[2].codecs)]
            or True
        )
        assert answer.bundle == ("0", "1", "2", "3")

    def test_only_common_codecs(self) -> None:
        section = section_of(publish({}), "2")
        offered = {codec.payload_type: codec.name for codec in section_of(PUBLISH_OFFER, "2").codecs}
        assert {codec.name for codec in section.codecs} == {"VP8", "VP9", "H264", "AV1", "rtx"}
        assert all(offered[codec.payload_type] == codec.name for codec in section.codecs)
        profiles = [codec.parameters["profile-level-id"] for codec in section.codecs if codec.name == "H264"]
        assert set(profiles) == {"42e01f"}

    def test_wanted_codec_comes_first(self) -> None:
        section = section_of(publish({"2": Incoming(preferred=("video/VP9",))}), "2")
        assert payload_types(section)[:3] == [98, 99, 96]

    def test_only_wanted_codec(self) -> None:
        section = section_of(publish({"2": Incoming(preferred=("video/VP9",), only_preferred=True)}), "2")
        assert payload_types(section) == [98, 99]

    def test_video_feedback(self) -> None:
        section = section_of(publish({}), "2")
        assert set(section.codecs[0].feedback) == {"transport-cc", "ccm fir", "nack", "nack pli"}
        assert section.codecs[1].feedback == ()

    def test_simulcast_is_accepted_in_the_offered_order(self) -> None:
        section = section_of(publish({}), "2")
        assert section.rids == (Rid("q", "recv"), Rid("h", "recv"), Rid("f", "recv"))
        assert section.simulcast_recv == ("q", "h", "f")
        reverse = PUBLISH_OFFER.replace("send q;h;f", "send ~f;h;q")
        assert section_of(publish({}, reverse), "2").simulcast_recv == ("f", "h", "q")

    @pytest.mark.parametrize(
        ("wish", "numbers", "fmtp"),
        [
            (Incoming(), [63, 111, 0, 8], "minptime=10;useinbandfec=1;usedtx=1"),
            (Incoming(preferred=("audio/opus",)), [63, 111, 0, 8], "minptime=10;useinbandfec=1;usedtx=1"),
            (Incoming(preferred=("audio/opus", "audio/red")), [111, 63, 0, 8], "minptime=10;useinbandfec=1;usedtx=1"),
            (Incoming(red=False), [111, 0, 8], "minptime=10;useinbandfec=1;usedtx=1"),
            (Incoming(preferred=("audio/PCMA",), red=False, dtx=False), [8, 111, 0], "minptime=10;useinbandfec=1"),
            (
                Incoming(dtx=False, stereo=True),
                [63, 111, 0, 8],
                "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000",
            ),
        ],
        ids=["default", "RED before opus", "RED placed", "no RED", "PCMA", "stereo"],
    )
    def test_audio_wishes(self, wish: Incoming, numbers: list[int], fmtp: str) -> None:
        section = section_of(publish({"1": wish}), "1")
        assert payload_types(section) == numbers
        assert next(codec.fmtp for codec in section.codecs if codec.name == "opus") == fmtp

    @pytest.mark.parametrize(("red", "feedback"), [(True, ()), (False, ("nack",))])
    def test_nack_for_audio_only_without_red(self, red: bool, feedback: tuple[str, ...]) -> None:
        offer = PUBLISH_OFFER.replace("a=rtcp-fb:111 transport-cc", "a=rtcp-fb:111 nack")
        section = section_of(publish({"1": Incoming(red=red)}, offer), "1")
        opus = next(codec for codec in section.codecs if codec.name == "opus")
        assert opus.feedback == feedback

    def test_unspoken_sections_are_accepted_as_offered(self) -> None:
        section = section_of(publish({}), "1")
        assert payload_types(section) == [111, 63, 0, 8]
        assert section.codecs[0].fmtp == "minptime=10;useinbandfec=1"
        assert section.direction == Direction.RECVONLY

    def test_none_declines_what_the_peer_sends(self) -> None:
        answer = publish({"2": None})
        assert section_of(answer, "2").direction == Direction.INACTIVE
        assert section_of(answer, "2").port == 9
        assert section_of(answer, "2").simulcast_recv == ()

    def test_data_channels(self) -> None:
        section = section_of(publish({}), "0")
        assert (section.sctp_port, section.max_message_size) == (5000, 65535)
        assert section.formats == ("webrtc-datachannel",)

    def test_transport_lines(self) -> None:
        answer = parse(publish({}))
        assert answer.fingerprints == (FINGERPRINT,)
        for section in answer.media:
            assert (section.ice_ufrag, section.setup) == ("abcd", "active")
        assert [section.candidates for section in answer.media] == [(CANDIDATE,), (), (), ()]
        assert [section.end_of_candidates for section in answer.media] == [True, False, False, False]
        assert all(section.rtcp_mux and section.rtcp_rsize for section in answer.media if section.kind != "application")

    def test_nothing_unknown_is_echoed(self) -> None:
        answer = publish({})
        for word in (
            "rtcp-xr",
            "ulpfec",
            "toffset",
            "video-orientation",
            "layers-allocation",
            "G722",
            "sctp-init",
            "sped",
        ):
            assert word not in answer

    def test_what_was_agreed_can_be_asked_for(self) -> None:
        negotiation = server()
        assert negotiation.section("2") is None
        negotiation.handle_offer(PUBLISH_OFFER)
        states = [negotiation.is_pending]
        answer = negotiation.answer(transport("active"), {"2": Incoming(preferred=("video/VP8",))})
        states.append(negotiation.is_pending)
        assert states == [True, False]
        section = negotiation.section("2")
        assert section is not None
        assert section.codecs == section_of(answer, "2").codecs
        assert section.rids == ("q", "h", "f")
        assert section.has_nack
        assert section.rtx[97] == 96
        assert section.allow_mixed
        assert negotiation.mids == ("0", "1", "2", "3")
        assert negotiation.section("x") is None

    def test_direction_of_extensions_is_mirrored(self) -> None:
        offer = PUBLISH_OFFER.replace(f"a=extmap:10 {RID}", f"a=extmap:10/sendonly {RID}")
        offer = offer.replace(f"a=extmap:11 {REPAIRED_RID}", f"a=extmap:11/inactive {REPAIRED_RID}")
        lines = lines_of(publish({}, offer), "2")
        assert f"a=extmap:10/recvonly {RID}" in lines
        assert not any(REPAIRED_RID in line for line in lines)

    @pytest.mark.parametrize(
        ("number", "allow_mixed", "is_kept"),
        [("14", False, True), ("0", True, False), ("15", True, False), ("16", True, True), ("16", False, False),
         ("256", True, False)],
    )  # fmt: skip
    def test_extension_ids(self, number: str, allow_mixed: bool, is_kept: bool) -> None:
        offer = PUBLISH_OFFER.replace(f"a=extmap:1 {AUDIO_LEVEL}", f"a=extmap:{number} {AUDIO_LEVEL}")
        if not allow_mixed:
            offer = offer.replace("a=extmap-allow-mixed\n", "")
        assert (AUDIO_LEVEL in server().handle_offer(offer).sections[1].extensions) == is_kept


class TestSetup:
    @pytest.mark.parametrize(
        ("offered", "wanted", "answered"),
        [
            ("actpass", "active", "active"),
            ("actpass", "passive", "passive"),
            ("actpass", "actpass", "active"),
            ("active", "active", "passive"),
            ("passive", "passive", "active"),
        ],
    )
    def test_role(self, offered: str, wanted: str, answered: str) -> None:
        negotiation = server()
        assert negotiation.setup == ""
        negotiation.handle_offer(PUBLISH_OFFER.replace("a=setup:actpass", f"a=setup:{offered}"))
        text = negotiation.answer(transport(wanted), {})
        assert section_of(text, "1").setup == answered == negotiation.setup

    def test_role_is_kept_on_later_offers(self) -> None:
        negotiation = server()
        for wanted in ("passive", "active"):
            negotiation.handle_offer(PUBLISH_OFFER)
            assert section_of(negotiation.answer(transport(wanted), {}), "1").setup == "passive"

    def test_ice_lite_is_told(self) -> None:
        negotiation = server()
        negotiation.handle_offer(PUBLISH_OFFER)
        assert parse(negotiation.answer(transport(ice_lite=True), {})).ice_lite


class TestSingleConnection:
    def test_first_answer(self) -> None:
        negotiation = server(is_single=True)
        remote = negotiation.handle_offer(single_offer())
        assert [section.kind for section in remote.sections] == ["audio"] * 3 + ["video"] * 3 + ["application"]
        assert negotiation.free_receivers("audio") == ["0", "1", "2"]
        assert negotiation.free_receivers("video") == ["3", "4", "5"]
        answer = negotiation.answer(transport("active"), {"0": track("a", 1), "3": track("v", 2, rtx_ssrc=3)})
        assert negotiation.free_receivers("audio") == ["1", "2"]
        assert "sctp-init" not in answer

        audio, free = section_of(answer, "0"), section_of(answer, "1")
        assert audio.msid == ("PA_x|TR_a", "TR_a")
        assert [source.ssrc for source in audio.ssrcs] == [1]
        assert (free.direction, free.msid, free.ssrcs) == (Direction.SENDONLY, None, ())

    def test_lines_of_a_track(self) -> None:
        negotiation = server(is_single=True)
        negotiation.handle_offer(single_offer())
        lines = lines_of(negotiation.answer(transport(), {"3": track("v", 2, rtx_ssrc=3)}), "3")
        assert [line for line in lines if "ssrc:" in line or "ssrc-group" in line or "msid:" in line] == [
            "a=ssrc-group:FID 2 3",
            "a=ssrc:2 cname:PA_x",
            "a=ssrc:2 msid:PA_x|TR_v TR_v",
            "a=ssrc:3 cname:PA_x",
            "a=ssrc:3 msid:PA_x|TR_v TR_v",
            "a=msid:PA_x|TR_v TR_v",
        ]
        assert "a=sendonly" in lines

    def test_video_feedback_and_extensions(self) -> None:
        negotiation = server(is_single=True)
        negotiation.handle_offer(single_offer())
        section = section_of(negotiation.answer(transport(), {"3": track("v", 2, rtx_ssrc=3)}), "3")
        assert set(section.codecs[0].feedback) == {"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}
        ids = {extension.uri: extension.id for extension in section.extensions}
        assert ids[TRANSPORT_CC] == 3
        assert {RID, REPAIRED_RID, MID} <= ids.keys(), "Chromium needs them to offer simulcast later"

    def test_no_retransmission_without_rtx_formats(self) -> None:
        negotiation = server(is_single=True, capabilities=server_capabilities(["video/VP8"]))
        negotiation.handle_offer(single_offer(audios=0))
        section = section_of(negotiation.answer(transport(), {"0": track("v", 2, rtx_ssrc=3)}), "0")
        assert section.ssrc_groups == ()
        assert [source.ssrc for source in section.ssrcs] == [2]

    def test_stereo_track(self) -> None:
        negotiation = server(is_single=True)
        negotiation.handle_offer(single_offer())
        section = section_of(negotiation.answer(transport(), {"0": track("a", 1, stereo=True)}), "0")
        assert section.codecs[0].fmtp == "minptime=10;useinbandfec=1;sprop-stereo=1"

    def test_emptied_section_is_inactive_until_it_is_used_again(self) -> None:
        negotiation = server(is_single=True)
        directions = []
        for wish in (track("a", 1), None, None, track("b", 2)):
            negotiation.handle_offer(single_offer())
            section = section_of(negotiation.answer(transport(), {"0": wish}), "0")
            directions.append((section.direction, section.msid is not None))
        assert directions == [("sendonly", True), ("inactive", False), ("inactive", False), ("sendonly", True)]

    def test_emptied_section_is_free(self) -> None:
        negotiation = server(is_single=True)
        negotiation.handle_offer(single_offer())
        negotiation.answer(transport(), {"0": track("a", 1)})
        negotiation.handle_offer(single_offer())
        negotiation.answer(transport(), {})
        assert negotiation.free_receivers("audio") == ["0", "1", "2"]

    def test_unpublished_section_is_answered_inactive(self) -> None:
        negotiation = server()
        negotiation.handle_offer(PUBLISH_OFFER)
        negotiation.answer(transport(), {})
        negotiation.handle_offer(PUBLISH_OFFER.replace("a=sendonly", "a=inactive"))
        answer = negotiation.answer(transport(), {"1": Incoming(), "2": track("v", 1)})
        assert [section.direction for section in parse(answer).media[1:]] == [Direction.INACTIVE] * 3
        assert [section.port for section in parse(answer).media] == [9] * 4
        assert section_of(answer, "2").msid is None


class TestLaterOffers:
    def test_restart_is_a_change_of_credentials_and_nothing_else(self) -> None:
        negotiation = server()
        first = PUBLISH_OFFER
        for offer, is_restart in (
            (first, False),
            (first.replace("a=sendonly", "a=inactive"), False),
            (first.replace("a=ice-ufrag:Ie9N", "a=ice-ufrag:new1"), True),
            (first.replace("a=ice-ufrag:Ie9N", "a=ice-ufrag:new1"), False),
        ):
            assert negotiation.handle_offer(offer).ice_restart == is_restart
            negotiation.answer(transport(), {})

    def test_version_grows_and_session_stays(self) -> None:
        negotiation = server()
        versions = []
        for _ in range(3):
            negotiation.handle_offer(PUBLISH_OFFER)
            answer = parse(negotiation.answer(transport(), {}))
            versions.append(answer.session_version)
            assert answer.session_id == 7
        assert versions == [1, 2, 3]

    @pytest.mark.parametrize(
        "broken",
        [
            single_offer(audios=2),
            single_offer().replace("a=mid:1\n", "a=mid:9\n").replace("BUNDLE 0 1", "BUNDLE 0 9"),
            single_offer().replace("a=mid:1\n", "a=mid:0\n"),
            single_offer().replace("a=mid:1\n", ""),
            single_offer().replace("m=audio", "m=video", 1),
            single_offer().replace("a=ice-ufrag", "a=x-ufrag"),
            single_offer().replace("a=fingerprint", "a=x-fingerprint"),
            "",
        ],
        ids=["fewer", "other mid", "same mid twice", "no mid", "other kind", "no ufrag", "no fingerprint", "empty"],
    )
    def test_a_broken_offer_changes_nothing(self, broken: str) -> None:
        negotiation = server(is_single=True)
        negotiation.handle_offer(single_offer())
        negotiation.answer(transport(), {"0": track("a", 1)})
        before = [negotiation.section(mid) for mid in negotiation.mids]
        with pytest.raises(SdpError):
            negotiation.handle_offer(broken)
        assert not negotiation.is_pending
        assert [negotiation.section(mid) for mid in negotiation.mids] == before
        assert not negotiation.handle_offer(single_offer()).ice_restart

    def test_sections_may_be_added(self) -> None:
        grown = single_offer(audios=1, videos=0, application="") + renumber(VIDEO_RECEIVE_SECTION).replace(
            "mid:0", "mid:6"
        )
        negotiation = server(is_single=True)
        negotiation.handle_offer(single_offer(audios=1, videos=0, application=""))
        negotiation.answer(transport(), {})
        negotiation.handle_offer(grown)
        assert [section.mid for section in parse(negotiation.answer(transport(), {})).media] == ["0", "6"]


class TestRejection:
    def reject(self, offer: str) -> tuple[Negotiation, str]:
        negotiation = server(is_single=True)
        negotiation.handle_offer(offer)
        return negotiation, negotiation.answer(transport(), {})

    @pytest.mark.parametrize(
        "section",
        [
            H264_ONLY,
            "m=text 9 UDP/TLS/RTP/SAVPF 98\na=mid:9\na=rtpmap:98 t140/1000\n",
            "m=audio 9 RTP/AVP 0\na=mid:9\n",
            "m=application 9 UDP/DTLS/SCTP other\na=mid:9\n",
            "m=application 9 DTLS/SCTP 5000\na=mid:9\n",
            "m=audio 0 UDP/TLS/RTP/SAVPF 111\na=mid:9\n",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:outside\na=rtpmap:111 opus/48000/2\n",
        ],
        ids=["no codec", "text", "plain RTP", "other data", "old data", "stopped", "not bundled"],
    )
    def test_only_the_section_is_refused(self, section: str) -> None:
        offer = single_offer(application="").replace("BUNDLE 0", "BUNDLE 9 0") + section
        negotiation, text = self.reject(offer)
        answer = parse(text)
        assert [media.port for media in answer.media] == [9] * 6 + [0]
        assert answer.bundle == ("0", "1", "2", "3", "4", "5")
        assert answer.media[6].mid in ("9", "outside")
        assert answer.media[6].ice_ufrag == ""
        agreed = negotiation.section(answer.media[6].mid)
        assert agreed is not None
        assert agreed.rejected
        assert "9" not in negotiation.free_receivers("audio")

    def test_stays_refused_under_its_mid(self) -> None:
        offer = single_offer(audios=1, videos=0, application="")
        negotiation, _ = self.reject(offer.replace("m=audio 9", "m=audio 0"))
        assert negotiation.handle_offer(offer).sections[0].rejected

    def test_is_reused_under_another_mid(self) -> None:
        offer = single_offer(audios=1, videos=0, application="")
        negotiation, _ = self.reject(offer.replace("m=audio 9", "m=audio 0"))
        again = offer.replace("a=mid:0", "a=mid:1")
        assert not negotiation.handle_offer(again).sections[0].rejected
        assert section_of(negotiation.answer(transport(), {}), "1").port == 9

    def test_stopped_section_without_mid(self) -> None:
        negotiation, _ = self.reject(single_offer())
        offer = single_offer().replace("a=mid:0\n", "").replace("m=audio 9", "m=audio 0", 1)
        remote = negotiation.handle_offer(offer)
        assert remote.sections[0].rejected
        assert parse(negotiation.answer(transport(), {})).media[0].port == 0

    def test_section_that_waits_to_be_bundled_is_accepted(self) -> None:
        offer = single_offer().replace("a=mid:1\n", "a=mid:1\na=bundle-only\n")
        head, tail = offer.split("a=mid:0\n")
        _, text = self.reject(f"{head}a=mid:0\n{tail.replace('m=audio 9', 'm=audio 0', 1)}")
        assert section_of(text, "1").port == 9

    def test_lone_section_needs_no_bundle_group(self) -> None:
        offer = single_offer(audios=1, videos=0, application="").replace("a=group:BUNDLE", "a=x-group")
        _, text = self.reject(offer)
        assert parse(text).media[0].port == 9

    def test_nothing_alive(self) -> None:
        negotiation = server()
        remote = negotiation.handle_offer("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0")
        assert (remote.sections, remote.ufrag) == ((), "")
        assert parse(negotiation.answer(transport(), {})).media == ()
        assert negotiation.setup == ""


class TestMisuse:
    def test_answer_without_offer(self) -> None:
        with pytest.raises(LocalProtocolError):
            server().answer(transport(), {})

    def test_second_answer(self) -> None:
        negotiation = server()
        negotiation.handle_offer(PUBLISH_OFFER)
        negotiation.answer(transport(), {})
        with pytest.raises(LocalProtocolError):
            negotiation.answer(transport(), {})

    def test_unknown_mid(self) -> None:
        negotiation = server()
        negotiation.handle_offer(PUBLISH_OFFER)
        with pytest.raises(LocalProtocolError):
            negotiation.answer(transport(), {"x": None})

    def test_offering_as_answerer(self) -> None:
        negotiation = server()
        negotiation.handle_offer(PUBLISH_OFFER)
        with pytest.raises(LocalProtocolError):
            negotiation.add_application()
        with pytest.raises(SdpError):
            negotiation.handle_answer(PUBLISH_OFFER)


def test_session_level_transport_and_sendrecv_as_pion_writes_them() -> None:
    offer = "\n".join(
        [
            "v=0", "o=- 5 6 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=msid-semantic:WMS*",
            "a=fingerprint:sha-256 AA:BB", "a=ice-lite", "a=group:BUNDLE 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111 9",
            "a=setup:actpass", "a=mid:0", "a=ice-ufrag:u", "a=ice-pwd:p", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2",
            "a=rtcp-fb:111 nack ", "a=ssrc:5 cname:s", "a=ssrc:5 msid:s t", "a=sendrecv",
        ]
    )  # fmt: skip
    negotiation = server()
    remote = negotiation.handle_offer(offer)
    section = remote.sections[0]
    assert remote.fingerprints == (("sha-256", "AA:BB"),)
    assert remote.ice_lite
    assert (section.direction, section.stream_id, section.track_id) == (Direction.SENDRECV, "s", "t")
    assert section.layer_ssrcs == (5,)
    answer = section_of(negotiation.answer(transport(), {"0": Incoming()}), "0")
    assert answer.direction == Direction.RECVONLY
    assert answer.codecs[0].feedback == ("nack",)
    assert not parse(offer).extmap_allow_mixed
