from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.dtls import DtlsError, DtlsRole
from sansio.dtls.records import Record, is_plausible, pack, parse_records, with_sequence_number


def record(content_type: int, body: bytes, epoch: int = 0, version: int = 0xFEFD, number: int = 0) -> bytes:
    head = bytes([content_type]) + version.to_bytes(2, "big") + epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
    return head + len(body).to_bytes(2, "big") + body


def message(
    kind: int, body: bytes, *, length: int | None = None, sequence: int = 0, offset: int = 0, size: int | None = None
) -> bytes:
    total = len(body) if length is None else length
    fragment = len(body) if size is None else size
    numbers = total.to_bytes(3, "big") + sequence.to_bytes(2, "big") + offset.to_bytes(3, "big")
    return bytes([kind]) + numbers + fragment.to_bytes(3, "big") + body


def test_records_run_together_are_split() -> None:
    parts = [record(22, b"abc"), record(20, b"\x01"), record(23, b"x" * 500, epoch=1)]
    parsed = parse_records(b"".join(parts))
    assert [entry.data for entry in parsed] == parts
    assert [entry.epoch for entry in parsed] == [0, 0, 1]
    assert [entry.is_handshake for entry in parsed] == [True, True, False]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(record(22, b"abc")[:-1], id="cut body"),
        pytest.param(record(22, b"abc") + b"\x16\xfe", id="cut header"),
        pytest.param(record(22, b""), id="empty record"),
        pytest.param(record(24, b"abc"), id="heartbeat"),
        pytest.param(record(19, b"abc"), id="type below"),
        pytest.param(record(22, b"abc", version=0x0303), id="TLS version"),
        pytest.param(record(23, b"x" * 18433, epoch=1), id="longer than a cipher makes it"),
    ],
)
def test_what_is_not_whole_records_is_refused(data: bytes) -> None:
    with pytest.raises(DtlsError):
        parse_records(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_records_or_the_one_error(data: bytes) -> None:
    try:
        records = parse_records(data)
    except DtlsError:
        return
    assert b"".join(entry.data for entry in records) == data


@given(st.lists(st.integers(14, 1500), max_size=20), st.integers(100, 1300))
def test_packing_keeps_order_and_the_limit(sizes: list[int], limit: int) -> None:
    records = [bytes([index]) * size for index, size in enumerate(sizes)]
    datagrams = pack(records, limit)
    assert b"".join(datagrams) == b"".join(records)
    for datagram in datagrams:
        assert len(datagram) <= limit or len(set(datagram)) == 1, "only a single long record may pass the limit"


def test_a_sequence_number_is_replaced_in_place() -> None:
    (entry,) = parse_records(record(22, b"abc", number=7))
    assert with_sequence_number(entry, 0x010203040506) == record(22, b"abc", number=0x010203040506)


CLIENT, SERVER = DtlsRole.CLIENT, DtlsRole.SERVER


@pytest.mark.parametrize(
    ("content_type", "epoch", "body", "sender", "answered", "expected"),
    [
        pytest.param(22, 0, message(1, b"hello"), CLIENT, False, True, id="ClientHello"),
        pytest.param(22, 0, message(1, b"he", length=5, offset=3), CLIENT, False, True, id="fragment of one"),
        pytest.param(22, 0, message(1, b"hello") + message(1, b"x"), CLIENT, False, True, id="two messages"),
        pytest.param(22, 0, message(2, b"hello"), CLIENT, True, False, id="ServerHello of a client"),
        pytest.param(22, 0, message(2, b"hello"), SERVER, True, True, id="ServerHello"),
        pytest.param(22, 0, message(3, b"hello"), SERVER, True, True, id="HelloVerifyRequest"),
        pytest.param(22, 0, message(0, b""), SERVER, True, False, id="HelloRequest"),
        pytest.param(22, 0, message(14, b""), SERVER, True, True, id="ServerHelloDone is empty"),
        pytest.param(22, 0, message(16, b"key"), CLIENT, False, False, id="key exchange before the hello"),
        pytest.param(22, 0, message(16, b"key"), CLIENT, True, True, id="key exchange"),
        pytest.param(22, 0, message(20, b"done"), CLIENT, True, False, id="Finished in the clear"),
        pytest.param(22, 0, message(1, b"abc", size=4), CLIENT, False, False, id="fragment past the record"),
        pytest.param(22, 0, message(1, b"abc", length=2), CLIENT, False, False, id="fragment past the message"),
        pytest.param(22, 0, message(1, b"", length=2), CLIENT, False, False, id="empty fragment"),
        pytest.param(22, 0, message(1, b"abc", length=1 << 20), CLIENT, False, False, id="absurd message"),
        pytest.param(22, 0, message(1, b"abc", sequence=900), CLIENT, False, False, id="absurd message number"),
        pytest.param(22, 0, message(1, b"abc") + b"\x01", CLIENT, False, False, id="trailing byte"),
        pytest.param(21, 0, b"\x02\x28", SERVER, True, True, id="fatal alert"),
        pytest.param(21, 0, b"\x01\x00", SERVER, True, False, id="warning"),
        pytest.param(21, 0, b"\x02\x28", CLIENT, False, False, id="alert before all"),
        pytest.param(20, 0, b"\x01", SERVER, True, True, id="ChangeCipherSpec"),
        pytest.param(20, 0, b"\x01", CLIENT, False, False, id="ChangeCipherSpec before all"),
        pytest.param(20, 0, b"\x02", SERVER, True, False, id="bad ChangeCipherSpec"),
        pytest.param(23, 0, b"data", SERVER, True, False, id="data in the clear"),
        pytest.param(23, 1, b"data", SERVER, True, True, id="data"),
        pytest.param(22, 1, b"finished", CLIENT, True, True, id="Finished"),
        pytest.param(22, 1, b"finished", CLIENT, False, False, id="Finished before all"),
        pytest.param(23, 2, b"data", SERVER, True, False, id="second epoch"),
    ],
)
def test_what_openssl_may_see(
    content_type: int, epoch: int, body: bytes, sender: DtlsRole, answered: bool, expected: bool
) -> None:
    entry = Record(content_type, epoch, record(content_type, body, epoch))
    assert is_plausible(entry, sender, answered=answered) is expected


@given(st.binary(max_size=100), st.sampled_from(DtlsRole), st.booleans())
def test_any_handshake_body_gives_an_answer(body: bytes, sender: DtlsRole, answered: bool) -> None:
    is_plausible(Record(22, 0, record(22, body)), sender, answered=answered)
