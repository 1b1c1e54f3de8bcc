"""Which formats match, and their order."""

from __future__ import annotations

import pytest

from sansio.sdp import Format, client_capabilities, rtx_payload_types, server_capabilities
from sansio.sdp.codecs import common_formats, h264_profile, ordered_formats

SERVER_VIDEO = server_capabilities().receive["video"].codecs
SERVER_AUDIO = server_capabilities().receive["audio"].codecs


def video(number: int, name: str, fmtp: str = "", feedback: tuple[str, ...] = ()) -> Format:
    return Format(payload_type=number, name=name, clock_rate=90000, fmtp=fmtp, feedback=feedback)


def audio(number: int, name: str, fmtp: str = "", *, channels: int = 2) -> Format:
    return Format(payload_type=number, name=name, clock_rate=48000, channels=channels, fmtp=fmtp)


def numbers(formats: tuple[Format, ...]) -> list[int]:
    return [codec.payload_type for codec in formats]


@pytest.mark.parametrize(
    ("profile_level_id", "profile"),
    [
        ("42e01f", "constrained baseline"),
        ("42E034", "constrained baseline"),
        ("42c01f", "constrained baseline"),
        ("4d801f", "constrained baseline"),
        ("", "constrained baseline"),
        ("42001f", "baseline"),
        ("58a01f", "baseline"),
        ("4d001f", "main"),
        ("64001f", "high"),
        ("640c1f", "constrained high"),
        ("f4001f", "f400"),
        ("zz", "zz"),
    ],
)
def test_h264_profiles(profile_level_id: str, profile: str) -> None:
    assert h264_profile(profile_level_id) == profile


H264 = "level-asymmetry-allowed=1;packetization-mode={};profile-level-id={}"


@pytest.mark.parametrize(
    ("offered", "matches"),
    [
        (video(102, "VP8"), True),
        (video(102, "vp8"), True),
        (video(35, "VP9"), True),
        (video(35, "VP9", "profile-id=0"), True),
        (video(35, "VP9", "profile-id=1"), True),
        (video(35, "VP9", "profile-id=2"), False),
        (video(45, "AV1", "level-idx=5;profile=0;tier=0"), True),
        (video(47, "AV1", "profile=1"), False),
        (video(49, "H265", "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"), True),
        (video(49, "H265", "profile-id=2"), False),
        (video(108, "H264", H264.format(1, "42e01f")), True),
        (video(108, "H264", H264.format(0, "42e01f")), True),
        (video(108, "H264", "profile-level-id=42e034;packetization-mode=1"), True),
        (video(108, "H264", H264.format(2, "42e01f")), False),
        (video(108, "H264", H264.format(1, "42001f")), False),
        (video(108, "H264", H264.format(1, "4d001f")), False),
        (video(108, "H264", H264.format(1, "640032")), False),
        (video(118, "red"), False),
        (video(119, "ulpfec"), False),
        (video(120, "flexfec-03"), False),
        (video(97, "rtx", "apt=96"), False),
        (video(72, "VP8"), False),
    ],
)
def test_video_formats_of_the_server(offered: Format, matches: bool) -> None:
    assert bool(common_formats([offered], SERVER_VIDEO)) == matches


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ([audio(111, "opus")], [111]),
        ([audio(111, "opus", channels=1)], []),
        ([audio(111, "opus"), audio(63, "red", "111/111")], [111, 63]),
        ([audio(63, "red", "111/111"), audio(111, "opus")], [63, 111]),
        ([audio(63, "red", "111/111")], []),
        ([audio(63, "red"), audio(111, "opus")], [111]),
        ([audio(63, "red", "9/9"), audio(111, "opus")], [111]),
        ([audio(9, "G722"), audio(126, "telephone-event")], []),
        ([Format(payload_type=0, name="PCMU", clock_rate=8000)], [0]),
        ([Format(payload_type=5, name="", clock_rate=0)], []),
    ],
    ids=["opus", "mono opus", "RED", "RED first", "RED alone", "RED of nothing", "RED of another", "none", "PCMU", "none"],
)  # fmt: skip
def test_audio_formats_of_the_server(offered: list[Format], kept: list[int]) -> None:
    assert numbers(common_formats(offered, SERVER_AUDIO)) == kept


class TestRtx:
    def test_is_kept_where_what_it_repairs_is_kept(self) -> None:
        offered = [
            video(96, "VP8"), video(97, "rtx", "apt=96"), video(118, "red"), video(119, "rtx", "apt=118"),
            video(50, "rtx"), video(51, "rtx", "apt=x"), video(52, "rtx", "apt=97"),
        ]  # fmt: skip
        kept = common_formats(offered, SERVER_VIDEO)
        assert numbers(kept) == [96, 97]
        assert rtx_payload_types(kept) == {97: 96}

    def test_goes_where_it_is_not_enabled(self) -> None:
        ours = server_capabilities(["video/VP8"]).receive["video"].codecs
        assert numbers(common_formats([video(96, "VP8"), video(97, "rtx", "apt=96")], ours)) == [96]


def test_feedback_is_what_both_have() -> None:
    offered = video(96, "VP8", "", ("goog-remb", "transport-cc", "nack", "nack pli", "x"))
    (kept,) = common_formats([offered], SERVER_VIDEO)
    assert kept.feedback == ("transport-cc", "nack", "nack pli")


def test_known_parameters_are_answered_and_no_others() -> None:
    fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f;sprop=1"
    (kept,) = common_formats([video(108, "H264", fmtp)], SERVER_VIDEO)
    assert kept.fmtp == "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        (video(96, "VP8", "x-google-start-bitrate=1000"), "x-google-start-bitrate=1000"),
        (video(98, "VP9", "profile-id=0;x-google-start-bitrate=700"), "profile-id=0;x-google-start-bitrate=700"),
        (video(108, "H264", H264.format(1, "42e01f") + ";x-google-min-bitrate=9;x-google-max-bitrate=5000"),
         H264.format(1, "42e01f") + ";x-google-min-bitrate=9;x-google-max-bitrate=5000"),
        (video(96, "VP8", "x-google-start-bitrate=fast;x-google-max-bitrate"), ""),
        (video(96, "VP8", "x-google-start-bitrate=" + "9" * 10), ""),
        (video(96, "VP8", "x-google-max-quantization=56"), ""),
    ],
    ids=["VP8", "VP9", "H264", "no numbers", "no bitrate", "no hint"],
)  # fmt: skip
def test_hints_at_the_bitrate_are_returned(offered: Format, answered: str) -> None:
    (kept,) = common_formats([offered], SERVER_VIDEO)
    assert kept.fmtp == answered


class TestOrder:
    formats = (
        video(96, "VP8"), video(97, "rtx", "apt=96"), video(98, "VP9"), video(99, "rtx", "apt=98"),
        video(108, "H264"), video(114, "H264"),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("preferred", "order"),
        [
            ((), [96, 97, 98, 99, 108, 114]),
            (("video/vp9",), [98, 99, 96, 97, 108, 114]),
            (("video/H264", "video/VP9"), [108, 114, 98, 99, 96, 97]),
            (("video/AV1",), [96, 97, 98, 99, 108, 114]),
        ],
    )
    def test_preferred_go_first(self, preferred: tuple[str, ...], order: list[int]) -> None:
        assert numbers(ordered_formats("video", self.formats, preferred)) == order

    def test_only_preferred(self) -> None:
        assert numbers(ordered_formats("video", self.formats, ["video/VP9"], only_preferred=True)) == [98, 99]

    def test_only_preferred_leaves_something(self) -> None:
        kept = ordered_formats("video", self.formats, ["video/AV1"], only_preferred=True)
        assert numbers(kept) == [96, 97, 98, 99, 108, 114]

    def test_only_red_keeps_the_opus_inside(self) -> None:
        formats = (audio(111, "opus"), audio(63, "red", "111/111"), audio(8, "PCMA"))
        assert numbers(ordered_formats("audio", formats, ["audio/red"], only_preferred=True)) == [63, 111]


@pytest.mark.parametrize("capabilities", [server_capabilities(), client_capabilities()], ids=["server", "client"])
class TestTables:
    def test_payload_types_are_unique_and_out_of_the_range_of_rtcp(self, capabilities: object) -> None:
        for side in (capabilities.send, capabilities.receive):  # type: ignore[attr-defined]
            for kind in side.values():
                found = numbers(kind.codecs)
                assert len(found) == len(set(found))
                assert not set(found) & set(range(64, 96))

    def test_every_extension_has_an_id_of_the_one_byte_form(self, capabilities: object) -> None:
        ids = capabilities.extension_ids  # type: ignore[attr-defined]
        assert len(set(ids.values())) == len(ids)
        for side in (capabilities.send, capabilities.receive):  # type: ignore[attr-defined]
            for kind in side.values():
                assert all(1 <= ids[uri] <= 14 for uri in kind.extensions)


def test_numbers_of_the_server_are_those_of_livekit() -> None:
    send = server_capabilities().send
    assert numbers(send["audio"].codecs) == [111, 63, 0, 8]
    assert numbers(send["video"].codecs) == [96, 97, 98, 99, 100, 101, 125, 126, 108, 109, 35, 36, 116, 117]


def test_further_h264_profiles_are_offered_when_named() -> None:
    codecs = server_capabilities(["video/H264"], h264_profiles=["42e01f", "42001F"]).send["video"].codecs
    assert numbers(codecs) == [125, 108, 104, 102]
