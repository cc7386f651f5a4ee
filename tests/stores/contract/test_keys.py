"""KMS: a key of P-256 signs digests, and shows its public half."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.stores.contract.places import Place, refusal

MESSAGE = b"what is said"
DIGEST = hashlib.sha256(MESSAGE).digest()


@pytest.fixture
def key(place: Place) -> tuple[Any, str]:
    kms = place.client("kms")
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description="signs")
    return kms, made["KeyMetadata"]["KeyId"]


def sign(kms: Any, key_id: str, **other: Any) -> dict[str, Any]:
    request = {"KeyId": key_id, "Message": DIGEST, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    found: dict[str, Any] = kms.sign(**{**request, **other})
    return found


def public(kms: Any, key_id: str) -> ec.EllipticCurvePublicKey:
    found = serialization.load_der_public_key(kms.get_public_key(KeyId=key_id)["PublicKey"])
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


def test_a_signature_is_the_keys_over_the_digest_in_der(key: tuple[Any, str]) -> None:
    kms, key_id = key
    answer = sign(kms, key_id)
    assert answer["SigningAlgorithm"] == "ECDSA_SHA_256"
    assert answer["KeyId"].endswith(f":key/{key_id}")
    public(kms, key_id).verify(answer["Signature"], MESSAGE, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public(kms, key_id).verify(answer["Signature"], b"another", ec.ECDSA(hashes.SHA256()))


def test_two_signatures_are_not_alike_and_two_keys_are_not_either(place: Place, key: tuple[Any, str]) -> None:
    kms, key_id = key
    other = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    assert sign(kms, key_id)["Signature"] != sign(kms, key_id)["Signature"]
    assert kms.get_public_key(KeyId=key_id)["PublicKey"] != kms.get_public_key(KeyId=other)["PublicKey"]


def test_a_public_key_says_what_it_is_for_and_is_known_by_its_arn_too(key: tuple[Any, str]) -> None:
    kms, key_id = key
    said = kms.get_public_key(KeyId=key_id)
    assert (said["KeySpec"], said["KeyUsage"], said["SigningAlgorithms"]) == ("ECC_NIST_P256", "SIGN_VERIFY", ["ECDSA_SHA_256"])
    assert kms.get_public_key(KeyId=said["KeyId"])["PublicKey"] == said["PublicKey"]


def test_a_key_that_is_disabled_signs_nothing_until_it_is_enabled(key: tuple[Any, str]) -> None:
    kms, key_id = key
    kms.disable_key(KeyId=key_id)
    refusal(lambda: sign(kms, key_id), "DisabledException")
    kms.enable_key(KeyId=key_id)
    assert sign(kms, key_id)["Signature"]


def test_a_key_that_is_not_there_is_named(key: tuple[Any, str]) -> None:
    kms, _ = key
    refusal(lambda: sign(kms, "11111111-2222-4333-8444-555555555555"), "NotFoundException")


def test_another_algorithm_than_the_keys_is_refused(key: tuple[Any, str]) -> None:
    kms, key_id = key
    refusal(lambda: sign(kms, key_id, SigningAlgorithm="ECDSA_SHA_384"), "ValidationException")


@pytest.mark.parametrize("length", [31, 33])
def test_a_digest_has_its_length(key: tuple[Any, str], length: int) -> None:
    kms, key_id = key
    refusal(lambda: sign(kms, key_id, Message=b"d" * length), "ValidationException")
