"""Protobuf and its two JSON forms: total parsers, and what Go's Twirp servers write (services 2.1, signalling H-31)."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.wire import (
    WireError,
    encode_json,
    encode_twirp_json,
    models,
    parse,
    parse_dict,
    parse_json,
    room,
    rtc,
    to_dict,
)

INFO = models.ParticipantInfo(
    sid="PA_x",
    identity="alice",
    joined_at=1_700_000_000,
    attributes={"a": "é"},
    state=models.ParticipantInfo.State.ACTIVE,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    for kind in (rtc.SignalRequest, rtc.WrappedJoinRequest, models.DataPacket):
        with contextlib.suppress(WireError):
            assert isinstance(parse(kind, data), kind)


@given(st.text(max_size=200))
def test_any_text_is_a_message_or_a_wire_error(text: str) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(parse_json(rtc.SignalRequest, text), rtc.SignalRequest)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["addTrack", "cid", "layers", "names", "trickle", "mute", "sid", "type", "ping", "x"]),
            inner,
        ),
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_value_is_a_message_or_a_wire_error(value: object) -> None:
    for kind in (rtc.SignalRequest, room.ListRoomsRequest, room.RoomConfiguration):
        with contextlib.suppress(WireError):
            assert isinstance(parse_dict(kind, value), kind)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut short"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param('{"names": 5}', id="a number for a list"),
        pytest.param('{"names": [{}]}', id="an object for a string"),
        pytest.param('{"names": ["\\ud800"]}', id="a lone surrogate"),
        pytest.param('{"names":' + "[" * 2000 + "]" * 2000 + "}", id="2000 levels"),
        pytest.param('{"names":' + "[" * 200_000, id="200000 levels"),
        pytest.param('{"names":' + "9" * 10_000 + "}", id="10000 digits"),
    ],
)
def test_json_that_is_not_the_message(text: str) -> None:
    """server_api: malformed JSON, JSON of another shape, JSON without end."""
    with pytest.raises(WireError):
        parse_json(room.ListRoomsRequest, text)


@pytest.mark.parametrize("data", [b"\x0a\xff\xff\xff\xff\x0f" * 3, b"\x0a\x02\xff\xfe", b"\x0b" * 100_000, bytes(50)])
def test_protobuf_that_is_not_the_message(data: bytes) -> None:
    with pytest.raises(WireError):
        parse(room.CreateRoomRequest, data)


def test_unknown_fields_are_kept_and_ignored() -> None:
    """S-1: clients are newer than servers."""
    request = parse(rtc.SignalRequest, bytes.fromhex("ba3e03616263"))
    assert request.WhichOneof("message") is None
    assert parse_json(rtc.SignalRequest, '{"noSuchField": {"a": [1]}, "ping": "5"}').ping == 5


@pytest.mark.parametrize(
    "text",
    ['{"emptyTimeout": 33, "name": "n"}', '{"empty_timeout": "33", "name": "n"}', b'{"empty_timeout":33,"name":"n"}'],
)
def test_json_requests_take_both_styles_of_names(text: str | bytes) -> None:
    request = parse_json(room.CreateRoomRequest, text)
    assert (request.name, request.empty_timeout) == ("n", 33)


def test_signal_json_is_camel_case_without_defaults() -> None:
    message = rtc.SignalResponse(pong_resp=rtc.Pong(last_ping_timestamp=5, timestamp=1_700_000_000_000))
    assert json.loads(encode_json(message)) == {"pongResp": {"lastPingTimestamp": "5", "timestamp": "1700000000000"}}
    assert "\n" not in encode_json(message)
    assert to_dict(rtc.SignalResponse(pong=0)) == {"pong": "0"}


def test_twirp_json_is_snake_case_with_defaults_and_text_for_64_bits() -> None:
    value = json.loads(encode_twirp_json(INFO))
    assert value["joined_at"] == "1700000000"
    assert (value["state"], value["metadata"], value["tracks"], value["is_publisher"]) == ("ACTIVE", "", [], False)
    assert value["attributes"] == {"a": "é"}
    assert value["permission"] is None, "an unset message is written as null"


def test_twirp_json_leaves_out_optional_fields_that_are_unset() -> None:
    value = json.loads(encode_twirp_json(room.SendDataRequest(room="r")))
    assert "topic" not in value
    assert json.loads(encode_twirp_json(room.MuteRoomTrackResponse())) == {"track": None}


@given(st.text(max_size=20), st.integers(0, 2**32 - 1))
def test_twirp_json_comes_back_as_it_was(name: str, timeout: int) -> None:
    try:
        request = room.CreateRoomRequest(name=name, empty_timeout=timeout)
    except ValueError:  # lone surrogates
        return
    assert parse_json(room.CreateRoomRequest, encode_twirp_json(request)) == request
