"""Tokens: signature, algorithm, times, and the texts of refusals."""

from __future__ import annotations

import base64
import json
import warnings

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.auth import Claims, TokenError, VideoGrant, bearer, mint, verify

NOW = 1_700_000_000.0
KEYS = {"devkey": "secret", "other": "x" * 40, "blank": ""}
JOIN = VideoGrant(room_join=True, room="lobby")


def signed(values: dict[str, object], *, key: str = KEYS["devkey"], algorithm: str = "HS256") -> str:
    """A token made by PyJWT itself, with exactly these claims."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(values, key, algorithm=algorithm)


def by_hand(header: object, payload: object, signature: bytes = b"x") -> str:
    parts = [json.dumps(part).encode() for part in (header, payload)]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in [*parts, signature]).decode()


def refusal(token: str, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        verify(token, KEYS, now)
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
    assert len(token) < 12 or token not in caught.value.message
    return caught.value.message


def test_a_minted_token_verifies() -> None:
    claims = Claims(issuer="other", identity="alice", name="Alice", video=JOIN, expires_at=NOW + 600)
    assert verify(mint(claims, KEYS["other"], wallclock=NOW), KEYS, NOW) == claims


def test_a_minted_token_reads_as_a_plain_jwt() -> None:
    claims = Claims(issuer="other", identity="bot", kind="agent", attributes={"lk.agent_name": ""}, video=JOIN,
                    expires_at=NOW + 3600)  # fmt: skip
    token = mint(claims, KEYS["other"], wallclock=NOW)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert jwt.decode(token, KEYS["other"], algorithms=["HS256"], options={"verify_exp": False}) == {
        "iss": "other", "sub": "bot", "identity": "bot", "kind": "agent", "attributes": {"lk.agent_name": ""},
        "video": {"roomJoin": True, "room": "lobby"}, "iat": NOW, "nbf": NOW, "exp": NOW + 3600,
    }  # fmt: skip


def test_a_short_secret_makes_no_noise() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        token = mint(Claims(issuer="devkey", expires_at=NOW + 1), KEYS["devkey"], wallclock=NOW)
        assert verify(token, KEYS, NOW).issuer == "devkey"


TIMES = [
    pytest.param({"exp": NOW + 1}, NOW, "", id="in time"),
    pytest.param({"exp": NOW - 30}, NOW, "", id="expired within the leeway"),
    pytest.param({"exp": NOW - 60}, NOW, "", id="expired at the leeway"),
    pytest.param({"exp": NOW - 100}, NOW, "invalid token: expired", id="expired"),
    pytest.param({}, NOW, "invalid token: no expiry", id="without expiry"),
    pytest.param({"exp": 0}, NOW, "invalid token: no expiry", id="expiry 0"),
    pytest.param({"exp": "later"}, NOW, "invalid token: exp is not a number", id="expiry in words"),
    pytest.param({"exp": 1e999}, NOW, "invalid token: exp is not a time", id="expiry never"),
    pytest.param({"exp": NOW + 600, "nbf": NOW + 30}, NOW, "", id="early within the leeway"),
    pytest.param({"exp": NOW + 600, "nbf": NOW + 100}, NOW, "invalid token: not valid yet", id="early"),
    pytest.param({"exp": NOW + 600, "iat": NOW + 500}, NOW, "", id="iat is not read"),
]


@pytest.mark.parametrize(("claims", "now", "message"), TIMES)
def test_times(claims: dict[str, object], now: float, message: str) -> None:
    # PyJWT refuses to write odd times through its own encoder, so go below it.
    token = jwt.PyJWS().encode(json.dumps({"iss": "other", **claims}).encode(), KEYS["other"], algorithm="HS256")
    if message:
        assert refusal(token, now) == message
    else:
        assert verify(token, KEYS, now).issuer == "other"


@pytest.mark.parametrize(
    ("token", "message"),
    [
        pytest.param("", "invalid authorization token", id="empty"),
        pytest.param("no-dots", "invalid authorization token", id="not a JWT"),
        pytest.param("a.b.c", "invalid authorization token", id="bad base64"),
        pytest.param(by_hand({"alg": "HS256"}, [1]), "invalid authorization token", id="payload is a list"),
        pytest.param(by_hand([], {}), "invalid authorization token", id="header is a list"),
        pytest.param("\ud800.a.b", "invalid authorization token", id="not Unicode"),
        pytest.param(
            base64.urlsafe_b64encode(b"[" * 30000).decode() + ".e30.eA", "invalid authorization token", id="deep header"
        ),
        pytest.param(
            "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(b"[" * 30000).decode() + ".eA",
            "invalid authorization token",
            id="deep payload",
        ),
        pytest.param(by_hand({"alg": "HS256"}, {}), "invalid API key: ", id="no issuer"),
        pytest.param(by_hand({"alg": "HS256"}, {"iss": 7}), "invalid API key: ", id="issuer is a number"),
        pytest.param(by_hand({"alg": "HS256"}, {"iss": "nobody"}), "invalid API key: nobody", id="unknown issuer"),
        pytest.param(
            by_hand({"alg": "HS256"}, {"iss": "a\r\nb"}), "invalid API key: ab", id="issuer with a line break"
        ),
        pytest.param(
            signed({"iss": "blank", "exp": NOW + 9}, key="k"), "invalid API key: blank", id="key without secret"
        ),
    ],
)
def test_tokens_that_name_no_key(token: str, message: str) -> None:
    assert refusal(token) == message


GOOD: dict[str, object] = {"iss": "devkey", "sub": "alice", "exp": NOW + 600}


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(GOOD, key="wrong"), id="wrong secret"),
        pytest.param(signed(GOOD, algorithm="HS512"), id="HS512"),
        pytest.param(signed(GOOD, key="", algorithm="none"), id="alg none"),
        pytest.param(by_hand({"alg": "none"}, GOOD, b""), id="alg none without signature"),
        pytest.param(by_hand({"alg": "RS256"}, GOOD), id="RS256"),
        pytest.param(by_hand({}, GOOD), id="no alg"),
        pytest.param(signed(GOOD)[:-3] + "AAA", id="damaged signature"),
        pytest.param(by_hand({"alg": "HS256", "crit": ["exp"]}, GOOD), id="unknown critical header"),
    ],
)
def test_bad_signatures(token: str) -> None:
    message = refusal(token)
    assert message.startswith(("invalid token: ", "invalid authorization token"))


def test_a_claim_of_the_wrong_type_refuses_the_token() -> None:
    assert refusal(signed({**GOOD, "video": {"roomJoin": "yes"}})) == "invalid token: roomJoin is not a boolean"


@given(st.text())
def test_any_text_gives_claims_or_a_token_error(text: str) -> None:
    with pytest.raises(TokenError):
        verify(text, KEYS, NOW)


@pytest.mark.parametrize(
    ("headers", "query", "token"),
    [
        pytest.param({}, {}, None, id="nowhere"),
        pytest.param({"authorization": "Bearer abc"}, {}, "abc", id="header"),
        pytest.param({}, {"access_token": "abc"}, "abc", id="query"),
        pytest.param({"authorization": "Bearer abc"}, {"access_token": "def"}, "abc", id="header wins"),
        pytest.param({"authorization": ""}, {"access_token": "def"}, "def", id="empty header"),
        pytest.param({"authorization": "Bearer "}, {}, None, id="empty token"),
        pytest.param({}, {"access_token": ""}, None, id="empty parameter"),
    ],
)
def test_where_the_token_is(headers: dict[str, str], query: dict[str, str], token: str | None) -> None:
    assert bearer(headers, query) == token


@pytest.mark.parametrize("value", ["Basic abc", "bearer abc", "Bearer", "abc"])
def test_another_scheme_is_refused(value: str) -> None:
    with pytest.raises(TokenError) as caught:
        bearer({"authorization": value}, {"access_token": "abc"})
    assert caught.value.message == "invalid authorization header. Must start with Bearer "
