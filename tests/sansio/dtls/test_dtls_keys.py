from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.dtls import PROFILES, Certificate, DtlsRole, fingerprint_of, key_lengths, split_keys
from sansio.dtls.keys import material_bytes
from sansio.kernel import SrtpProfile


@pytest.mark.parametrize(
    ("profile", "total"),
    [
        pytest.param(SrtpProfile.AES128_CM_SHA1_80, 60, id="CM"),
        pytest.param(SrtpProfile.AEAD_AES_128_GCM, 56, id="GCM-128"),
        pytest.param(SrtpProfile.AEAD_AES_256_GCM, 88, id="GCM-256"),
    ],
)
def test_the_exporter_gives_keys_then_salts_client_first(profile: SrtpProfile, total: int) -> None:
    assert material_bytes(profile) == total
    key, salt = key_lengths(profile)
    material = b"K" * key + b"k" * key + b"S" * salt + b"s" * salt
    client, server = b"K" * key + b"S" * salt, b"k" * key + b"s" * salt
    assert split_keys(profile, material, DtlsRole.CLIENT) == (client, server)
    assert split_keys(profile, material, DtlsRole.SERVER) == (server, client)


@given(st.sampled_from(PROFILES), st.data())
def test_what_one_side_sends_with_the_other_receives_with(profile: SrtpProfile, data: st.DataObject) -> None:
    material = data.draw(st.binary(min_size=material_bytes(profile), max_size=material_bytes(profile)))
    client = split_keys(profile, material, DtlsRole.CLIENT)
    assert split_keys(profile, material, DtlsRole.SERVER) == client[::-1]


def test_gcm_128_is_preferred_and_the_short_tag_is_not_offered() -> None:
    assert [profile.value for profile in PROFILES] == [7, 8, 1]


def test_a_certificate_has_a_fingerprint_and_a_month() -> None:
    wallclock = 1_700_000_000.0
    certificate = Certificate.generate(wallclock)
    assert len(certificate.fingerprint) == 95
    assert certificate.fingerprint == certificate.fingerprint.upper()
    assert certificate.expires_at == wallclock + 30 * 86400
    assert certificate.fingerprint in repr(certificate)
    assert Certificate.generate(wallclock).fingerprint != certificate.fingerprint


@pytest.mark.parametrize(("algorithm", "octets"), [("sha-256", 32), ("SHA-384", 48), ("sha-512", 64)])
def test_fingerprints_by_algorithm(algorithm: str, octets: int) -> None:
    certificate = Certificate.generate(0.0)
    assert fingerprint_of(certificate.x509, algorithm).count(":") == octets - 1


def test_an_unknown_algorithm_has_no_fingerprint() -> None:
    assert fingerprint_of(Certificate.generate(0.0).x509, "md5") == ""
