"""Reading a join: where the token is, what is checked in which order, and both forms of a request (signalling 1.3-1.6)."""

from __future__ import annotations

import gzip
import time
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.auth import Claims, VideoGrant, mint
from sansio.config import Config, LimitConfig
from sansio.errors import Refusal
from sansio.outputs import HttpRequest
from sansio.room import Settings
from sansio.signalling.join import Join, parse_join
from sansio.wire import models, rtc

KEY, SECRET, WALL = "api-key", "a secret that is long enough for HS256", 1_700_000_000.0
CONFIG = Config(keys={KEY: SECRET})
GRANT = VideoGrant(room_join=True, room="room")
NO_PERMISSIONS = "no permissions to access the room"


def jwt(
    grant: VideoGrant | None = GRANT, *, secret: str = SECRET, key: str = KEY, ttl: float = 600, **claims: Any
) -> str:
    made = Claims(**{"issuer": key, "identity": "alice", "video": grant, "expires_at": WALL + ttl} | claims)
    return mint(made, secret, wallclock=WALL)


def request(
    path: str = "/rtc", *, token: str | None = None, headers: dict[str, str] | None = None, **query: str
) -> HttpRequest:
    return HttpRequest(
        method="GET",
        path=path,
        query={"access_token": jwt() if token is None else token} | query,
        headers=headers or {},
        remote="192.0.2.9",
    )


def read(given: HttpRequest, config: Config = CONFIG) -> Join:
    return parse_join(given, config, WALL)


def refusal(given: HttpRequest, config: Config = CONFIG) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        parse_join(given, config, WALL)
    return caught.value.status, caught.value.message


def wrapped(inner: bytes, *, compression: int = 0) -> str:
    outer = rtc.WrappedJoinRequest(compression=compression, join_request=inner)  # type: ignore[arg-type]
    return urlsafe_b64encode(outer.SerializeToString()).decode()


def v1(join: rtc.JoinRequest, **given: Any) -> HttpRequest:
    return request("/rtc/v1", join_request=wrapped(join.SerializeToString() or b"\x0a\x00"), **given)


# Tokens


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        pytest.param({"authorization": f"Bearer {jwt()}"}, "", id="header"),
        pytest.param({}, jwt(), id="query"),
        pytest.param({"authorization": f"Bearer {jwt()}"}, "nonsense", id="header wins"),
    ],
)
def test_the_token_is_in_the_header_or_in_the_query(headers: dict[str, str], query: str) -> None:
    """H-8."""
    join = read(request(token=query, headers=headers))
    assert (join.claims.identity, join.room) == ("alice", "room")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param(request(token=""), NO_PERMISSIONS, id="none"),
        pytest.param(
            request(headers={"authorization": "Basic abc"}),
            "invalid authorization header. Must start with Bearer ",
            id="another scheme",
        ),
        pytest.param(request(token="zzz"), "invalid authorization token", id="no JWT"),
        pytest.param(request(token=jwt(key="nobody")), "invalid API key: nobody", id="unknown key"),
        pytest.param(request(token=jwt(secret="y" * 40)), "invalid token: ", id="wrong secret"),
        pytest.param(request(token=jwt(ttl=-100)), "invalid token: ", id="expired"),
        pytest.param(request(token=jwt(None)), NO_PERMISSIONS, id="no video grant"),
        pytest.param(request("/rtc/v1", token=jwt(None)), NO_PERMISSIONS, id="no video grant, before join_request"),
    ],
)
def test_refusals_of_tokens(given: HttpRequest, text: str) -> None:
    """H-9, H-10, and the first row of 1.4."""
    status, message = refusal(given)
    assert status == 401
    assert message.startswith(text)
    token = given.query["access_token"]
    assert len(token) < 5 or token not in message, "a refusal does not repeat the token"


# Order of checks (1.4)

LONG = "n" * 257
EMPTY = rtc.JoinRequest(client_info=models.ClientInfo(version="1"))
META = rtc.JoinRequest(metadata="m")

ORDER = [
    pytest.param(request("/rtc/v1"), 400, "join_request is required", id="v1 without join_request"),
    pytest.param(request("/rtc/v1", join_request=wrapped(b"")), 400, "join_request is required", id="empty inner bytes"),
    pytest.param(
        request("/rtc/v1", join_request="%%%"), 400, "cannot base64 decode wrapped join request", id="no base64"
    ),
    pytest.param(
        request("/rtc/v1", join_request="é"), 400, "cannot base64 decode wrapped join request", id="not ASCII"
    ),
    pytest.param(
        request("/rtc/v1", join_request="a"), 400, "cannot base64 decode wrapped join request", id="an impossible length"
    ),
    pytest.param(
        request("/rtc/v1", join_request=urlsafe_b64encode(b"\xff" * 9).decode()),
        400, "cannot unmarshal wrapped join request", id="no outer message",
    ),
    pytest.param(
        request("/rtc/v1", join_request=wrapped(b"\xff" * 9)), 400, "cannot unmarshal join request", id="no inner message"
    ),
    pytest.param(
        request("/rtc/v1", join_request=wrapped(b"no gzip", compression=1)),
        400, "cannot read decompressed join request", id="no gzip",
    ),
    pytest.param(
        request("/rtc/v1", join_request=wrapped(gzip.compress(EMPTY.SerializeToString())[:-9], compression=1)),
        400, "cannot read decompressed join request", id="gzip cut short",
    ),
    pytest.param(
        request("/rtc/v1", token=jwt(VideoGrant(room_join=False)), join_request="%%%"),
        400, "cannot base64 decode wrapped join request", id="the join request is read before roomJoin is looked at",
    ),
    pytest.param(
        request(token=jwt(attrs.evolve(GRANT, room_join=False), identity="")), 401, "permissions denied", id="no roomJoin"
    ),
    pytest.param(
        v1(META, token=jwt(attrs.evolve(GRANT, room_join=False))), 401, "permissions denied", id="v1 no roomJoin"
    ),
    pytest.param(
        request(token=jwt(identity=""), publish="obs"), 400, "identity cannot be empty", id="no identity, even with a suffix"
    ),
    pytest.param(
        request(token=jwt(identity=LONG)), 400,
        "participant identity length exceeds limits: max length 256", id="long identity",
    ),
    pytest.param(
        request(token=jwt(attrs.evolve(GRANT, room=""), identity=LONG)), 400,
        "participant identity length exceeds limits: max length 256", id="identity before room",
    ),
    pytest.param(request(token=jwt(attrs.evolve(GRANT, room=""))), 400, "no room name", id="no room"),
    pytest.param(
        v1(META, token=jwt(attrs.evolve(GRANT, room=""))), 400, "no room name", id="v1 no room, before metadata"
    ),
    pytest.param(
        request(token=jwt(attrs.evolve(GRANT, room=LONG))), 400,
        "room name length exceeds limits: max length 256", id="long room",
    ),
    pytest.param(v1(META), 401, NO_PERMISSIONS, id="metadata without the grant"),
    pytest.param(
        v1(rtc.JoinRequest(participant_attributes={"a": "b"})), 401, NO_PERMISSIONS, id="attributes without the grant"
    ),
    pytest.param(
        request("/rtc/validate", attributes=urlsafe_b64encode(b'{"a":"b"}').decode()),
        401, NO_PERMISSIONS, id="v0 attributes without the grant",
    ),
    pytest.param(
        request("/rtc/validate", token=jwt(attrs.evolve(GRANT, can_update_own_metadata=True)), attributes="%%"),
        400, "cannot decode attributes", id="attributes that are none, asked of validate",
    ),
    pytest.param(
        request(token=jwt(attrs.evolve(GRANT, can_publish=False)), publish="obs"),
        401, NO_PERMISSIONS, id="a publish suffix without canPublish",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "status", "text"), ORDER)
def test_checks_in_their_order(given: HttpRequest, status: int, text: str) -> None:
    """1.4, H-19: each row with its status and text, the earlier row first."""
    assert refusal(given) == (status, text)


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"metadata": "m" * 11}, "metadata size exceeds limits 10"),
        ({"name": "n" * 7}, "name length exceeds limits 6"),
        ({"attributes": {"key": "v" * 6}}, "attribute size exceeds limits 8"),
    ],
)
def test_what_a_token_says_has_limits(claims: dict[str, Any], text: str) -> None:
    """services 6.1."""
    config = attrs.evolve(
        CONFIG, limit=LimitConfig(max_metadata_size=10, max_participant_name_length=6, max_attributes_size=8)
    )
    assert refusal(request(token=jwt(**claims)), config) == (400, text)
    without = LimitConfig(
        max_metadata_size=0, max_participant_name_length=0, max_attributes_size=0, max_room_name_length=0,
        max_participant_identity_length=0,
    )  # fmt: skip
    config = attrs.evolve(CONFIG, limit=without)
    grant = attrs.evolve(GRANT, room="r" * 500)
    assert read(request(token=jwt(grant, **claims, identity="i" * 500)), config).room == "r" * 500


def test_lengths_count_in_bytes() -> None:
    assert refusal(request(token=jwt(identity="é" * 129)))[0] == 400
    assert read(request(token=jwt(identity="é" * 128))).claims.identity == "é" * 128


# v0


def test_parameters_of_a_v0_join() -> None:
    """H-16 and 1.5: what a Rust client sends, and unknown ones."""
    join = read(
        request(
            sdk="rust", version="0.8.2", os="macos", os_version="15", device_model="Mac", protocol="17",
            client_protocol="2", auto_subscribe="0", adaptive_stream="1", auto_subscribe_data_track="true",
            disable_ice_lite="true", network="wifi", capabilities="CAP_PACKET_TRAILER,CAP_NOVEL,CAP_COMPRESSION_DEFLATE_RAW",
            browser="b", browser_version="9", novel="1",
        )
    )  # fmt: skip
    info = join.client
    assert (info.sdk, info.version, info.os, info.os_version) == (models.ClientInfo.SDK.RUST, "0.8.2", "macos", "15")
    assert (info.device_model, info.protocol, info.client_protocol, info.network) == ("Mac", 17, 2, "wifi")
    assert (info.browser, info.browser_version, info.address) == ("b", "9", "192.0.2.9")
    names = [models.ClientInfo.Capability.Name(number) for number in info.capabilities]
    assert sorted(names) == ["CAP_COMPRESSION_DEFLATE_RAW", "CAP_PACKET_TRAILER"]
    assert join.settings == Settings(
        auto_subscribe=False, auto_subscribe_data_track=True, adaptive_stream=True, disable_ice_lite=True
    )
    assert (join.is_reconnect, join.participant_sid, join.reconnect_reason) == (False, "", 0)


def test_defaults_of_a_v0_join() -> None:
    join = read(request())
    assert join.settings == Settings(auto_subscribe=True)
    assert (join.client.sdk, join.client.protocol) == (models.ClientInfo.SDK.UNKNOWN, 0)


def test_a_v0_resume() -> None:
    """R-7."""
    join = read(request(reconnect="1", sid="PA_x", reconnect_reason="4"))
    assert (join.is_reconnect, join.participant_sid, join.reconnect_reason) == (True, "PA_x", 4)


@pytest.mark.parametrize(
    ("value", "number"),
    [("16", 16), ("-1", 0), ("", 0), ("9" * 30, 0), ("4294967295", 0x7FFFFFFF), ("٣", 0), ("1e3", 0), ("²", 0)],
)
def test_numbers_of_a_query(value: str, number: int) -> None:
    """bad_input: a protocol of -1 and one of 30 digits."""
    assert read(request(protocol=value)).client.protocol == number


@pytest.mark.parametrize(
    ("value", "flag"),
    [("0", False), ("false", False), ("1", True), ("true", True), ("True", True), ("", True), ("x", False)],
)
def test_flags_of_a_query(value: str, flag: bool) -> None:
    assert read(request(auto_subscribe=value)).settings.auto_subscribe is flag


@pytest.mark.parametrize(
    ("agent", "browser", "version", "system"),
    [
        pytest.param(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
            "Chrome", "156.0.0.0", "Linux", id="Chrome",
        ),
        pytest.param(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.1",
            "Edge", "120.1", "Windows", id="Edge",
        ),
        pytest.param(
            "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0", "Firefox", "130.0", "Android", id="Firefox"
        ),
        pytest.param(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.4 Safari/605.1.15",
            "Safari", "18.4", "Mac OS X", id="Safari",
        ),
        pytest.param("Version/1.0 curl", "", "", "", id="none of them"),
        pytest.param("", "", "", "", id="nothing"),
    ],
)  # fmt: skip
def test_browsers_are_known_by_their_user_agent(agent: str, browser: str, version: str, system: str) -> None:
    """1.5: js and unknown clients do not say it themselves; native ones are left as they are."""
    info = read(request(sdk="js", headers={"user-agent": agent})).client
    assert (info.browser, info.browser_version, info.os) == (browser, version, system)
    native = read(request(sdk="rust", headers={"user-agent": agent})).client
    assert (native.browser, native.os) == ("", "")
    said = read(request(sdk="js", browser="own", os="mine", headers={"user-agent": agent})).client
    assert (said.browser, said.os) == ("own", "mine")


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"cf-connecting-ip": "1.1.1.1", "x-forwarded-for": "2.2.2.2"}, "1.1.1.1"),
        ({"x-forwarded-for": " 2.2.2.2 , 3.3.3.3", "x-real-ip": "4.4.4.4"}, "2.2.2.2"),
        ({"x-real-ip": "4.4.4.4"}, "4.4.4.4"),
        ({}, "192.0.2.9"),
    ],
)
def test_the_address_of_a_client(headers: dict[str, str], address: str) -> None:
    """H-18."""
    assert read(request(headers=headers)).client.address == address


MAY = jwt(attrs.evolve(GRANT, can_update_own_metadata=True), attributes={"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        pytest.param('{"b": "3", "c": "4"}', {"a": "1", "b": "3", "c": "4"}, id="added"),
        pytest.param('{"a": ""}', {"a": "1", "b": "2"}, id="none of the token's is deleted"),
        pytest.param("{{", {"a": "1", "b": "2"}, id="no JSON"),
        pytest.param('{"a": 5}', {"a": "1", "b": "2"}, id="no map of texts"),
        pytest.param("[]", {"a": "1", "b": "2"}, id="no map"),
        pytest.param('{"a": "\\ud800"}', {"a": "1", "b": "2"}, id="half a character"),
        pytest.param("[" * 5000, {"a": "1", "b": "2"}, id="without end"),
    ],
)
def test_attributes_of_a_v0_join(text: str, attributes: dict[str, str]) -> None:
    """1.5: added to the token's; the socket ignores what it cannot read."""
    join = read(request(token=MAY, attributes=urlsafe_b64encode(text.encode()).decode()))
    assert join.claims.attributes == attributes


def test_attributes_that_are_no_text_encoding_are_ignored_by_the_socket() -> None:
    assert read(request(token=MAY, attributes="%7B%7B")).claims.attributes == {"a": "1", "b": "2"}
    assert read(request(token=MAY, attributes=urlsafe_b64encode(b"\xff\xfe").decode())).claims.attributes["a"] == "1"


def test_a_publish_suffix_makes_a_second_identity_that_only_publishes() -> None:
    """H-17."""
    join = read(request(publish="obs"))
    assert (join.claims.identity, join.settings.auto_subscribe) == ("alice#obs", False)


# v1

FULL = rtc.JoinRequest(
    client_info=models.ClientInfo(sdk=models.ClientInfo.SDK.JS, version="2.23.0", protocol=17, client_protocol=2),
    connection_settings=rtc.ConnectionSettings(auto_subscribe=True, adaptive_stream=True),
    metadata="new",
    participant_attributes={"c": "3", "a": ""},
    add_track_requests=[rtc.AddTrackRequest(cid="mic")],
    publisher_offer=rtc.SessionDescription(type="offer", sdp="v=0", id=1),
)


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
@pytest.mark.parametrize("encode", [urlsafe_b64encode, b64encode], ids=["url-safe", "plain base64"])
@pytest.mark.parametrize("padded", [True, False], ids=["padded", "unpadded"])
@pytest.mark.parametrize("path", ["/rtc/v1", "/rtc"])
def test_a_v1_join_in_all_encodings(compression: int, encode: Any, padded: bool, path: str) -> None:
    """H-19, and H-22: `/rtc` with a join_request is single mode too."""
    inner = FULL.SerializeToString()
    outer = rtc.WrappedJoinRequest(compression=compression, join_request=gzip.compress(inner) if compression else inner)  # type: ignore[arg-type]
    text = encode(outer.SerializeToString()).decode()
    join = read(request(path, token=MAY, join_request=text if padded else text.rstrip("=")))
    assert join.settings == Settings(is_single=True, auto_subscribe=True, adaptive_stream=True)
    assert (join.claims.metadata, join.claims.attributes) == ("new", {"a": "1", "b": "2", "c": "3"})
    assert [track.cid for track in join.add_track_requests] == ["mic"]
    assert join.publisher_offer is not None
    assert join.publisher_offer.id == 1
    assert (join.client.version, join.client.protocol, join.client.client_protocol) == ("2.23.0", 17, 2)


def test_a_v1_join_without_settings_subscribes_to_nothing_by_itself() -> None:
    """1.6: auto_subscribe is proto3 there; absent means false."""
    join = read(v1(rtc.JoinRequest()))
    assert not join.settings.auto_subscribe
    assert join.publisher_offer is None


def test_a_v1_resume() -> None:
    """R-7."""
    join = read(v1(rtc.JoinRequest(reconnect=True, participant_sid="PA_x", reconnect_reason=2)))  # type: ignore[arg-type]
    assert (join.is_reconnect, join.participant_sid, join.reconnect_reason) == (True, "PA_x", 2)


def test_a_join_request_may_be_large_but_not_too_large() -> None:
    """H-19, H-33: 20 KiB of offer pass; a mebibyte is the limit, packed or not."""
    offer = rtc.JoinRequest(publisher_offer=rtc.SessionDescription(sdp="a=x\r\n" * 4000))
    assert len(read(v1(offer)).publisher_offer.sdp) == 20_000  # type: ignore[union-attr]
    limit = CONFIG.limit.max_join_request_size
    for inner, compression in ((bytes(limit + 1), 0), (gzip.compress(bytes(limit + 1)), 1)):
        given = request("/rtc/v1", join_request=wrapped(inner, compression=compression))
        assert refusal(given) == (400, "join request too large")


def test_a_bomb_is_refused_without_unpacking_it() -> None:
    """H-19, X-3."""
    bomb = gzip.compress(b"\x1a\x80\x87\xa7\x0e" + bytes(30_000_000), 9)
    started = time.process_time()
    assert refusal(request("/rtc/v1", join_request=wrapped(bomb, compression=1))) == (400, "join request too large")
    assert time.process_time() - started < 0.5


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "join_request",
                "attributes",
                "publish",
                "protocol",
                "sdk",
                "reconnect",
                "sid",
                "capabilities",
                "auto_subscribe",
            ]
        ),
        st.one_of(st.text(max_size=30), st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode())),
    ),
    st.sampled_from(["/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate"]),
    st.dictionaries(st.sampled_from(["user-agent", "x-forwarded-for", "authorization"]), st.text(max_size=20)),
)
def test_any_request_is_a_join_or_a_refusal(query: dict[str, str], path: str, headers: dict[str, str]) -> None:
    """X-3, X-4."""
    try:
        assert read(request(path, headers=headers, **query)).room == "room"
    except Refusal as refused:
        status = refused.status
    else:
        status = 200
    assert status in (200, 400, 401)
