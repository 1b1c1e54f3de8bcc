"""STUN messages against the vectors of RFC 5769, and against anything at all."""

from __future__ import annotations

from contextlib import suppress
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.errors import LocalProtocolError
from sansio.stun import (
    Class,
    ErrorCode,
    FingerprintError,
    Message,
    Method,
    StunError,
    canonical_host,
    encode,
    pack_host,
    parse,
    peek_ufrag,
    unpack_host,
)

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
VECTORS = [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE, LONG_TERM_REQUEST]

TID = bytes(range(12))


def with_attributes(body: bytes, message_type: int = 0x0001) -> bytes:
    return message_type.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + TID + body


# RFC 5769


def test_rfc5769_request() -> None:
    message = parse(REQUEST)
    assert (message.kind, message.method, message.transaction_id) == (Class.REQUEST, Method.BINDING, TRANSACTION)
    assert message.username == "evtj:h6vY"
    assert message.priority == 0x6E0001FF
    assert message.controlled == 0x932FF9B151263B36
    assert message.controlling is None
    assert message.unrecognized == ()
    assert message.has_integrity
    assert message.verify(PASSWORD)
    assert not message.verify(PASSWORD + b"x")


@pytest.mark.parametrize(
    ("data", "address"),
    [(IPV4_RESPONSE, ("192.0.2.1", 32853)), (IPV6_RESPONSE, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))],
    ids=["IPv4", "IPv6"],
)
def test_rfc5769_responses(data: bytes, address: tuple[str, int]) -> None:
    message = parse(data)
    assert message.kind is Class.SUCCESS
    assert message.mapped_address == address
    assert message.verify(PASSWORD)


def test_rfc5769_long_term_request_is_understood_with_its_key() -> None:
    message = parse(LONG_TERM_REQUEST)
    assert message.username == "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    assert message.unrecognized == ()
    key = md5(f"{message.username}:example.org:TheMatrIX".encode()).digest()
    assert message.verify(key)


@pytest.mark.parametrize("data", [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE], ids=["request", "IPv4", "IPv6"])
def test_any_changed_byte_is_noticed(data: bytes) -> None:
    for at in range(len(data) - 8):  # the fingerprint itself is outside of the integrity
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        try:
            message = parse(changed)
        except StunError:
            continue
        assert not message.verify(PASSWORD), f"byte {at}"


# What a WebRTC client sends


def test_unknown_optional_attributes_are_ignored_and_required_ones_listed() -> None:
    network_cost = bytes.fromhex("c057000400010032")
    nomination = bytes.fromhex("c001000400000007")
    required = bytes.fromhex("7f010003aabbcc00") + bytes.fromhex("00190000")
    message = parse(with_attributes(network_cost + required + nomination))
    assert message.unrecognized == (0x7F01, 0x0019)


def test_attributes_behind_the_integrity_are_ignored() -> None:
    data = encode(Message(kind=Class.REQUEST, transaction_id=TID), b"key", fingerprint=False)
    body = data[20:] + bytes.fromhex("00240004000000ff") + bytes.fromhex("7f010000") + bytes.fromhex("001c0000")
    message = parse(with_attributes(body))
    assert message.priority is None
    assert message.unrecognized == ()
    assert message.verify(b"key")


def test_mapped_address_counts_only_without_the_other() -> None:
    plain = bytes.fromhex("0001000800010050c0000201")
    xored = bytes.fromhex("002000080001a147e112a643")
    assert parse(with_attributes(plain, 0x0101)).mapped_address == ("192.0.2.1", 80)
    assert parse(with_attributes(plain + xored, 0x0101)).mapped_address == ("192.0.2.1", 32853)
    assert parse(with_attributes(xored + plain, 0x0101)).mapped_address == ("192.0.2.1", 32853)


def test_mapped_ipv4_in_ipv6_is_written_as_ipv4() -> None:
    plain = bytes.fromhex("0001001400020050" + "00" * 10 + "ffffc0000201")
    assert parse(with_attributes(plain, 0x0101)).mapped_address == ("192.0.2.1", 80)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(REQUEST[:19], id="short header"),
        pytest.param(b"\x80" + REQUEST[1:], id="first bits not zero"),
        pytest.param(REQUEST[:4] + b"\x21\x12\xa4\x43" + REQUEST[8:], id="wrong cookie"),
        pytest.param(REQUEST + bytes(4), id="longer than its length"),
        pytest.param(REQUEST[:-4], id="shorter than its length"),
        pytest.param(b"\0\x01\0\x02\x21\x12\xa4\x42" + TID + b"\0\0", id="length not a multiple of four"),
        pytest.param(with_attributes(b"", 0x0003), id="Allocate"),
        pytest.param(with_attributes(b"", 0x0080), id="GOOG-PING"),
        pytest.param(with_attributes(bytes.fromhex("00060008") + b"abcd"), id="attribute overruns"),
        pytest.param(with_attributes(bytes.fromhex("0006ffff") + b"abcd"), id="attribute overruns by far"),
        pytest.param(with_attributes(bytes.fromhex("00060004613a6231") * 2), id="two usernames"),
        pytest.param(with_attributes(bytes.fromhex("00060004") + b"\xff\xfe\xfd\xfc"), id="username not UTF-8"),
        pytest.param(with_attributes(bytes.fromhex("00060204") + b"a" * 516), id="username too long"),
        pytest.param(with_attributes(bytes.fromhex("00240003") + b"abc\0"), id="short priority"),
        pytest.param(with_attributes(bytes.fromhex("80290004") + b"abcd"), id="short tie-breaker"),
        pytest.param(with_attributes(bytes.fromhex("802a0004") + b"abcd"), id="short tie-breaker, controlling"),
        pytest.param(with_attributes(bytes.fromhex("00250004") + b"abcd"), id="USE-CANDIDATE with content"),
        pytest.param(with_attributes(bytes.fromhex("00080010") + bytes(16)), id="short integrity"),
        pytest.param(with_attributes((bytes.fromhex("00080014") + bytes(20)) * 2), id="two integrities"),
        pytest.param(with_attributes(bytes.fromhex("8028000200000000")), id="short fingerprint"),
        pytest.param(with_attributes(bytes.fromhex("8028000400000000") + bytes.fromhex("00250000")),
                     id="fingerprint not last"),
        pytest.param(with_attributes(bytes.fromhex("00090002") + bytes(4), 0x0111), id="short error code"),
        pytest.param(with_attributes(bytes.fromhex("0009000400000464"), 0x0111), id="error number 100"),
        pytest.param(with_attributes(bytes.fromhex("000a0003") + bytes(4), 0x0111), id="odd unknown attributes"),
        pytest.param(with_attributes(bytes.fromhex("00200008") + bytes(8), 0x0101), id="address family 0"),
        pytest.param(with_attributes(bytes.fromhex("002000080002") + bytes(6), 0x0101), id="IPv6 in eight bytes"),
        pytest.param(with_attributes(bytes.fromhex("00200004") + bytes(4), 0x0101), id="short address"),
    ],
)  # fmt: skip
def test_malformed_messages_are_refused(data: bytes) -> None:
    with pytest.raises(StunError):
        parse(data)
    assert peek_ufrag(data) in (None, "evtj", "a")


def test_wrong_fingerprint_is_told_apart() -> None:
    with pytest.raises(FingerprintError):
        parse(REQUEST[:-1] + b"\0")


# Encoding


def test_binding_request_bytes() -> None:
    message = Message(
        kind=Class.REQUEST, transaction_id=TID, username="ab:c", priority=1, controlling=2, use_candidate=True
    )
    data = encode(message)
    body = "0006000461623a63" + "802a00080000000000000002" + "00250000" + "0024000400000001"
    assert data[:-8].hex() == "000100282112a442" + TID.hex() + body
    assert data[-8:-4].hex() == "80280004"
    assert not parse(data).has_integrity
    assert not parse(data).verify(b"")


def test_success_is_not_longer_than_the_request() -> None:
    request = encode(
        Message(kind=Class.REQUEST, transaction_id=TID, username="abcd:efgh", priority=1, controlling=2), b"k"
    )
    success = Message(kind=Class.SUCCESS, transaction_id=TID, mapped_address=("2001:db8::1", 1))
    assert len(encode(success, b"k")) <= len(request)


def test_error_codes_keep_their_hundreds() -> None:
    message = Message(
        kind=Class.ERROR,
        transaction_id=TID,
        error_code=ErrorCode.UNKNOWN_ATTRIBUTE,
        error_reason="Unknown Attribute",
        unknown_attributes=(0x7F01, 0x0019, 3),
    )
    parsed = parse(encode(message, b"k"))
    assert (parsed.error_code, parsed.error_reason) == (420, "Unknown Attribute")
    assert parsed.unknown_attributes == (0x7F01, 0x0019, 3)


u64 = st.integers(0, (1 << 64) - 1)
addresses = st.tuples(
    st.one_of(
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map(str).map(lambda text: canonical_host(text) or ""),
    ),
    st.integers(0, 65535),
)
messages = st.builds(
    Message,
    kind=st.sampled_from(Class),
    transaction_id=st.binary(min_size=12, max_size=12),
    username=st.none() | st.text(max_size=100),
    priority=st.none() | st.integers(0, (1 << 32) - 1),
    use_candidate=st.booleans(),
    controlling=st.none() | u64,
    controlled=st.none() | u64,
    mapped_address=st.none() | addresses,
    unknown_attributes=st.lists(st.integers(0, 65535), max_size=5).map(tuple),
)


@given(message=messages, key=st.binary(max_size=30), fingerprint=st.booleans())
def test_parse_inverts_encode(message: Message, key: bytes, fingerprint: bool) -> None:
    parsed = parse(encode(message, key, fingerprint=fingerprint))
    assert parsed == message
    assert parsed.verify(key) is bool(key)
    assert not parsed.verify(key + b"x")


@given(code=st.integers(300, 699), reason=st.text(max_size=120))
def test_parse_inverts_encode_of_errors(code: int, reason: str) -> None:
    message = Message(kind=Class.ERROR, transaction_id=TID, error_code=code, error_reason=reason)
    assert parse(encode(message, b"k")) == message


# Anything at all


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_the_one_error(data: bytes) -> None:
    for candidate in (data, with_attributes(data[: len(data) & ~3])):
        peek_ufrag(candidate)
        with suppress(StunError):
            parse(candidate)


@given(vector=st.sampled_from(VECTORS), edits=st.lists(st.tuples(st.integers(0, 130), st.integers(0, 255)), max_size=6))
def test_damaged_messages_give_a_message_or_the_one_error(vector: bytes, edits: list[tuple[int, int]]) -> None:
    data = bytearray(vector)
    for at, value in edits:
        data[at % len(data)] = value
    peek_ufrag(bytes(data))
    with suppress(StunError):
        parse(bytes(data))


# Whom it is for


@pytest.mark.parametrize(
    ("data", "ufrag"),
    [
        pytest.param(REQUEST, "evtj", id="RFC 5769"),
        pytest.param(IPV4_RESPONSE, None, id="response"),
        pytest.param(with_attributes(bytes.fromhex("00060004613a6231"), 0x0011), None, id="indication"),
        pytest.param(with_attributes(b""), None, id="no username"),
        pytest.param(with_attributes(bytes.fromhex("0006000461626364")), None, id="no colon"),
        pytest.param(with_attributes(bytes.fromhex("000600043a626364")), "", id="nothing before the colon"),
        pytest.param(with_attributes(bytes.fromhex("00060004ff3a6364")), None, id="not ASCII"),
        pytest.param(with_attributes(bytes.fromhex("00060008613a6231")), None, id="overruns"),
        pytest.param(with_attributes(bytes.fromhex("0024ffff613a6231")), None, id="skips past the end"),
        pytest.param(REQUEST[:-1], None, id="cut short"),
    ],
)
def test_peek_ufrag(data: bytes, ufrag: str | None) -> None:
    assert peek_ufrag(data) == ufrag


@given(username=st.text(st.characters(codec="ascii"), max_size=60), kind=st.sampled_from(Class))
def test_peek_ufrag_agrees_with_parse(username: str, kind: Class) -> None:
    data = encode(Message(kind=kind, transaction_id=TID, priority=1, username=username), b"k")
    wanted = username.partition(":")[0] if kind is Class.REQUEST and ":" in username else None
    assert peek_ufrag(data) == wanted
    assert parse(data).username == username


# Addresses


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("host.local", None),
        ("192.0.2.01", None),
        ("", None),
    ],
)
def test_canonical_host(text: str, canonical: str | None) -> None:
    assert canonical_host(text) == canonical


def test_a_name_cannot_be_packed() -> None:
    with pytest.raises(LocalProtocolError):
        pack_host("host.local")


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_unpacked_hosts_are_canonical(packed: bytes) -> None:
    text = unpack_host(packed)
    assert canonical_host(text) == text
    assert pack_host(text) == packed[-len(pack_host(text)) :]
