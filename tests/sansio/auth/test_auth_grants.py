"""Grants and claims: their JSON form, and the defaults of tri-state permissions."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sansio.auth import KINDS, SOURCES, Claims, VideoGrant

tri_state = st.sampled_from([None, False, True])
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLAGS = (
    "room_create",
    "room_list",
    "room_record",
    "room_admin",
    "room_join",
    "ingress_admin",
    "hidden",
    "recorder",
    "agent",
)
CHOICES = ("can_publish", "can_subscribe", "can_publish_data", "can_update_own_metadata", "can_subscribe_metrics",
           "can_manage_agent_session")  # fmt: skip
grants = st.builds(
    VideoGrant,
    **dict.fromkeys(FLAGS, st.booleans()),
    **dict.fromkeys(CHOICES, tri_state),
    room=words,
    can_publish_sources=st.lists(st.sampled_from(SOURCES), max_size=4).map(tuple),
    destination_room=words,
)
claims = st.builds(
    Claims,
    issuer=words,
    identity=words,
    name=words,
    metadata=words,
    attributes=st.dictionaries(words, words, max_size=3),
    kind=st.sampled_from(KINDS),
    kind_details=st.lists(st.sampled_from(["cloud_agent", "forwarded"]), max_size=2).map(tuple),
    video=st.none() | grants,
    sip_admin=st.booleans(),
    sip_call=st.booleans(),
    room_config=st.none() | st.dictionaries(words, words, max_size=2),
    room_preset=words,
    sha256=words,
)

names = st.sampled_from(["iss", "sub", "video", "exp", "sip", "attributes", "kindDetails", "roomConfig"])
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(grants)
def test_a_grant_survives_its_json_form(grant: VideoGrant) -> None:
    assert VideoGrant.parse(json.loads(json.dumps(grant.encode()))) == grant


@given(claims)
def test_claims_survive_their_json_form(value: Claims) -> None:
    assert Claims.parse(json.loads(json.dumps(value.encode()))) == value


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(names, any_json))
def test_any_json_gives_claims_or_a_value_error(values: dict[str, object]) -> None:
    try:
        parsed = Claims.parse(values)
    except ValueError:
        return
    assert isinstance(parsed.issuer, str)


TRI_STATES: list[tuple[str, dict[str, object], dict[str, bool]]] = [
    ("nothing said", {}, {"publish": True, "subscribe": True, "publish_data": True, "update_metadata": False,
                          "subscribe_metrics": False, "manage_agent_session": False}),
    ("no publishing", {"canPublish": False}, {"publish": False, "publish_data": False, "subscribe": True}),
    ("data alone", {"canPublish": False, "canPublishData": True}, {"publish": False, "publish_data": True}),
    ("media alone", {"canPublish": True, "canPublishData": False}, {"publish": True, "publish_data": False}),
    ("no subscribing", {"canSubscribe": False}, {"subscribe": False, "publish": True}),
    ("metadata", {"canUpdateOwnMetadata": True}, {"update_metadata": True}),
    ("metrics", {"canSubscribeMetrics": True, "canManageAgentSession": True},
     {"subscribe_metrics": True, "manage_agent_session": True}),
    ("null is absent", {"canPublish": None, "canSubscribe": None}, {"publish": True, "subscribe": True}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"), [case[1:] for case in TRI_STATES], ids=[case[0] for case in TRI_STATES]
)
def test_effective_permissions(values: Mapping[str, object], expected: dict[str, bool]) -> None:
    grant = VideoGrant.parse(values)
    assert {name: getattr(grant, f"{name}_allowed") for name in expected} == expected


@pytest.mark.parametrize(
    ("values", "source", "allowed"),
    [
        pytest.param({}, "camera", True, id="an empty list allows all"),
        pytest.param({"canPublishSources": ["camera"]}, "camera", True, id="listed"),
        pytest.param({"canPublishSources": ["CAMERA"]}, "camera", True, id="case does not matter"),
        pytest.param({"canPublishSources": ["camera"]}, "microphone", False, id="the list is exclusive"),
        pytest.param({"canPublish": False, "canPublishSources": ["camera"]}, "camera", False, id="publishing is off"),
    ],
)
def test_sources(values: Mapping[str, object], source: str, allowed: bool) -> None:
    assert VideoGrant.parse(values).source_allowed(source) is allowed


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("agent", "agent"),
        ("AGENT", "agent"),
        ("sip", "sip"),
        ("robot", "standard"),
        ("", "standard"),
        (None, "standard"),
    ],
)
def test_an_unknown_kind_is_standard(said: str | None, kind: str) -> None:
    assert Claims.parse({"kind": said}).kind == kind


@pytest.mark.parametrize(
    ("value", "dependent"),
    [
        pytest.param(Claims(issuer="k"), False, id="plain"),
        pytest.param(Claims(issuer="k", kind="agent"), True, id="agent"),
        pytest.param(Claims(issuer="k", kind="egress"), True, id="egress"),
        pytest.param(Claims(issuer="k", kind="sip"), False, id="sip"),
        pytest.param(Claims(issuer="k", video=VideoGrant(agent=True)), True, id="agent grant"),
        pytest.param(Claims(issuer="k", video=VideoGrant(recorder=True)), True, id="recorder grant"),
        pytest.param(Claims(issuer="k", video=VideoGrant(room_join=True)), False, id="join grant"),
    ],
)
def test_who_is_dependent(value: Claims, dependent: bool) -> None:
    assert value.is_dependent is dependent


WRONG_TYPES: list[dict[str, object]] = [
    {"sub": 7}, {"name": ["x"]}, {"attributes": {"a": 1}}, {"attributes": "x"}, {"video": []}, {"video": {"room": 5}},
    {"video": {"roomJoin": "true"}}, {"video": {"canPublish": 1}}, {"video": {"canPublishSources": "camera"}},
    {"video": {"canPublishSources": [1]}}, {"sip": True}, {"exp": "soon"}, {"exp": True}, {"exp": float("nan")},
    {"exp": 10**400}, {"roomConfig": 1}, {"name": "\ud800"}, {"attributes": {"\ud800": "x"}},
]  # fmt: skip


@pytest.mark.parametrize("values", WRONG_TYPES, ids=str)
def test_a_claim_of_the_wrong_type_is_a_value_error(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is not|holds a value"):
        Claims.parse(values)


def test_identity_falls_back_to_jti_and_ignores_the_private_claim() -> None:
    assert Claims.parse({"sub": "alice", "jti": "bob", "identity": "eve"}).identity == "alice"
    assert Claims.parse({"jti": "bob", "identity": "eve"}).identity == "bob"
    assert Claims.parse({"identity": "eve"}).identity == ""


def test_defaults_are_not_written() -> None:
    assert Claims(issuer="key").encode() == {"iss": "key"}
    assert Claims(issuer="key", video=VideoGrant()).encode() == {"iss": "key", "video": {}}
    assert VideoGrant(can_publish=False, can_subscribe=True).encode() == {"canPublish": False, "canSubscribe": True}


def test_claims_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Claims(issuer="key").name = "other"  # type: ignore[misc]
