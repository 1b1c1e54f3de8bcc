"""Text to values and back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sdp_tools import CANDIDATE, minimal, single_offer
from sdp_vectors import PUBLISH_OFFER, SUBSCRIBER_ANSWER

from sansio.sdp import Description, Direction, ExtMap, Format, Rid, SdpError, SsrcInfo, parse

CAPTURES = {"publish": PUBLISH_OFFER, "single": single_offer(), "answer": SUBSCRIBER_ANSWER}
LINES = sorted({line for text in CAPTURES.values() for line in text.splitlines()})
ODD_LINES = [
    "m=text 5 RTP/AVP 98", "m=audio 0 RTP/SAVPF 0 8", "m=video 9/2 RTP/SAVPF 97", "a=rtcp-fb:* nack", "a=mid: x ",
    "a=simulcast:recv 1,2;~3 send a",
    "a=ssrc:1", "a=ssrc:2 msid:x y z", "a=ssrc:3 mslabel:a b", "a=msid:a", "a=msid:- b", "a=rid:1 recv pt=9",
    "a=extmap:3/sendonly uri attributes", "a=group:BUNDLE", "a=group:LS 1", "a=inactive", "a=bundle-only", "a=candidate:",
    "a=", "a=:", "a=fmtp:97 apt = 3 ; x", "a=rtpmap:97 x/1/2/3", "a=ice-options:a  b", "s= a  b", "",
    "a=fingerprint:x", "a=ssrc-group:SIM", "a=ssrc-group:SIM 3 3", "a=max-message-size:0",
    "a=ice-lite", "a=setup:holdconn", "a=simulcast: ",
]  # fmt: skip

ODD_ATTRIBUTES = st.builds(
    "a={}:{}".format,
    st.sampled_from(["mid", "msid", "ssrc:5 msid", "fmtp:96", "rtcp-fb:*", "simulcast", "ice-pwd", "rid", "candidate"]),
    st.text("=:/ 01x\t\x85;,~*-", max_size=12),
)


class TestAnyText:
    @given(st.text())
    def test_text_gives_a_description_or_the_one_error(self, text: str) -> None:
        with contextlib.suppress(SdpError):
            assert isinstance(parse(text), Description)

    @settings(max_examples=300)
    @given(st.lists(st.sampled_from(LINES + ODD_LINES) | ODD_ATTRIBUTES, max_size=40))
    def test_encoding_of_what_was_parsed_is_a_fixed_point(self, lines: list[str]) -> None:
        text = "\r\n".join(["v=0", "o=- 1 1 IN IP4 0.0.0.0", *lines])
        with contextlib.suppress(SdpError):
            encoded = parse(text).encode()
            assert parse(encoded).encode() == encoded

    @given(st.data())
    def test_a_damaged_capture_gives_a_description_or_the_one_error(self, data: st.DataObject) -> None:
        text = data.draw(st.sampled_from(sorted(CAPTURES.values())))
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(at + 40, len(text))))
        damaged = text[:at] + data.draw(st.text(max_size=8)) + text[end:]
        with contextlib.suppress(SdpError):
            encoded = parse(damaged).encode()
            assert parse(encoded).encode() == encoded


@pytest.mark.parametrize("text", CAPTURES.values(), ids=CAPTURES.keys())
def test_captures_survive_encoding(text: str) -> None:
    description = parse(text)
    assert parse(description.encode()) == description


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n"], ids=["LF", "CRLF", "blank lines"])
def test_line_ends(end: str) -> None:
    assert parse(end.join(PUBLISH_OFFER.splitlines())) == parse(PUBLISH_OFFER)


MALFORMED = {
    "empty": "",
    "no version": "o=- 1 1 IN IP4 0.0.0.0",
    "no origin": "v=0\ns=-",
    "other version": "v=1\no=- 1 1 IN IP4 0.0.0.0",
    "short origin": "v=0\no=- 1 1 IN IP4",
    "origin without number": "v=0\no=- x 1 IN IP4 0.0.0.0",
    "superscript number": "v=0\no=- ² 1 IN IP4 0.0.0.0",
    "line without equals sign": "v=0\nhello",
    "carriage return inside": "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=a\rb",
    "zero byte": "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=a\0b",
}
MALFORMED_SECTIONS = {
    "short m-line": "m=audio 9 RTP/SAVPF",
    "port not a number": "m=audio x RTP/SAVPF 0",
    "port too large": "m=audio 65536 RTP/SAVPF 0",
    "payload type not a number": "m=audio 9 RTP/SAVPF opus",
    "payload type too large": "m=audio 9 RTP/SAVPF 128",
    "clock rate not a number": "m=audio 9 RTP/SAVPF 96\na=rtpmap:96 opus/fast",
    "negative ssrc": "m=audio 9 RTP/SAVPF 0\na=ssrc:-1 cname:x",
    "huge ssrc": "m=audio 9 RTP/SAVPF 0\na=ssrc:4294967296 cname:x",
    "endless number": f"m=audio 9 RTP/SAVPF 0\na=max-message-size:{'9' * 100_000}",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_descriptions_are_refused(text: str) -> None:
    with pytest.raises(SdpError):
        parse(text)


@pytest.mark.parametrize("text", MALFORMED_SECTIONS.values(), ids=MALFORMED_SECTIONS.keys())
def test_malformed_sections_are_refused(text: str) -> None:
    with pytest.raises(SdpError):
        minimal(text)


def test_size_is_bounded() -> None:
    parse(PUBLISH_OFFER, limit_characters=len(PUBLISH_OFFER))
    with pytest.raises(SdpError, match="limit"):
        parse(PUBLISH_OFFER, limit_characters=len(PUBLISH_OFFER) - 1)


def test_number_of_sections_is_bounded() -> None:
    with pytest.raises(SdpError, match="sections"):
        minimal(*["m=audio 0 RTP/SAVPF 0"] * 2049)


def test_wildcard_feedback_is_bounded() -> None:
    formats = " ".join(map(str, range(128)))
    section = minimal(f"m=video 9 RTP/SAVPF {formats}", *[f"a=rtcp-fb:* x{n}" for n in range(2000)]).media[0]
    assert max(len(codec.feedback) for codec in section.codecs) <= 32


class TestPublishOffer:
    description = parse(PUBLISH_OFFER)

    def test_session(self) -> None:
        assert self.description.session_id == 358657536566578702
        assert self.description.bundle == ("0", "1", "2", "3")
        assert self.description.extmap_allow_mixed
        assert not self.description.ice_lite

    def test_application(self) -> None:
        section = self.description.media[0]
        assert (section.kind, section.protocol) == ("application", "UDP/DTLS/SCTP")
        assert section.formats == ("webrtc-datachannel",)
        assert (section.sctp_port, section.max_message_size) == (5000, 262144)
        assert section.setup == "actpass"

    def test_audio(self) -> None:
        section = self.description.media[1]
        assert section.direction == Direction.SENDONLY
        assert section.codecs[0] == Format(
            payload_type=111, name="opus", clock_rate=48000, channels=2,
            fmtp="minptime=10;useinbandfec=1", feedback=("transport-cc",),
        )  # fmt: skip
        assert section.rtcp_mux
        assert section.rtcp_rsize
        assert ExtMap(1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level") in section.extensions
        assert section.msid is not None
        assert section.ssrcs == (SsrcInfo(section.ssrcs[0].ssrc, section.ssrcs[0].cname, *section.msid),)

    def test_simulcast(self) -> None:
        section = self.description.media[2]
        assert section.rids == (Rid("q", "send"), Rid("h", "send"), Rid("f", "send"))
        assert section.simulcast_send == ("q", "h", "f")
        assert section.ssrcs == ()

    def test_retransmission(self) -> None:
        section = self.description.media[3]
        ((semantics, ssrcs),) = section.ssrc_groups
        assert semantics == "FID"
        assert ssrcs == tuple(source.ssrc for source in section.ssrcs)
        assert [codec.apt for codec in section.codecs[:2]] == [None, 96]


class TestDetails:
    def test_static_audio_formats_need_no_rtpmap(self) -> None:
        names = [codec.name for codec in minimal("m=audio 9 RTP/SAVPF 0 8 5").media[0].codecs]
        assert names == ["PCMU", "PCMA", ""]

    def test_wildcard_feedback_is_of_all_formats(self) -> None:
        section = minimal("m=video 9 RTP/SAVPF 96 97", "a=rtcp-fb:* nack", "a=rtcp-fb:97 nack pli ").media[0]
        assert [codec.feedback for codec in section.codecs] == [("nack",), ("nack pli", "nack")]

    def test_paused_layers_and_alternatives(self) -> None:
        section = minimal("m=video 9 RTP/SAVPF 96", "a=simulcast:send ~q;h,x;f recv 1").media[0]
        assert section.simulcast_send == ("q", "h", "f")
        assert section.simulcast_recv == ("1",)

    def test_legacy_stream_labels(self) -> None:
        section = minimal("m=audio 9 RTP/SAVPF 0", "a=ssrc:7 mslabel:s", "a=ssrc:7 label:t").media[0]
        assert section.ssrcs == (SsrcInfo(7, "", "s", "t"),)

    def test_port_zero_with_bundle_only_is_not_a_refusal(self) -> None:
        refused, waiting = minimal("m=audio 0 RTP/SAVPF 0", "m=audio 0 RTP/SAVPF 0", "a=bundle-only").media
        assert refused.is_rejected
        assert not waiting.is_rejected

    def test_direction_of_the_session_is_the_default(self) -> None:
        section = minimal("m=audio 9 RTP/SAVPF 0", session=("a=recvonly",)).media[0]
        assert section.direction == Direction.RECVONLY

    def test_candidates(self) -> None:
        section = minimal("m=audio 9 RTP/SAVPF 0", f"a={CANDIDATE}", "a=end-of-candidates").media[0]
        assert section.candidates == (CANDIDATE,)
        assert section.end_of_candidates

    def test_fingerprints_are_normalised(self) -> None:
        assert minimal(session=("a=fingerprint:SHA-256 ab:cd",)).fingerprints == (("sha-256", "AB:CD"),)

    def test_credentials_with_spaces_are_passed_over(self) -> None:
        assert minimal(session=("a=ice-ufrag:a b", "a=ice-pwd:c")).ice_ufrag == ""

    def test_unknown_attributes_do_not_survive(self) -> None:
        text = minimal("m=audio 9 RTP/SAVPF 0", "a=sctp-init:AQAA", "a=rtcp-xr:rcvr-rtt=all").encode()
        assert "sctp-init" not in text
        assert "rtcp-xr" not in text

    @pytest.mark.parametrize("direction", list(Direction))
    def test_direction_flags(self, direction: Direction) -> None:
        assert Direction.of(sends=direction.sends, receives=direction.receives) == direction
