"""KMS: asymmetric keys of P-256 that sign. Each signature is another one, as KMS's are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from infra.memory.service import ACCOUNT, REGION, Answer, Request, Service, ServiceError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SPEC, USAGE, ALGORITHM = "ECC_NIST_P256", "SIGN_VERIFY", "ECDSA_SHA_256"

DIGEST_BYTES = 32
"""SHA-256's (AWS KMS API: "Sign", MessageType)."""

_KEY = re.compile(rf"(?:arn:aws:kms:{REGION}:{ACCOUNT}:key/)?([0-9a-f-]{{36}})")


@dataclass
class _Key:
    """A key and where it stands. The private half is PKCS #8 in DER, so that a store can be copied."""

    private: bytes
    state: str = "Enabled"


class KMS(Service):
    """All keys."""

    CALLS: ClassVar = {
        "CreateKey": "KeySpec KeyUsage Description",
        "DisableKey": "KeyId",
        "EnableKey": "KeyId",
        "GetPublicKey": "KeyId",
        "Sign": "KeyId Message MessageType SigningAlgorithm",
    }

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, _Key] = {}

    def create_key(self, request: Request) -> Answer:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        if (request.get("KeySpec"), request.get("KeyUsage")) != (SPEC, USAGE):
            raise NotImplementedError("only a key of P-256 that signs is made in this process")
        private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key_id = f"00000000-0000-4000-8000-{len(self._keys) + 1:012d}"
        self._keys[key_id] = _Key(private)
        return {"KeyMetadata": {"KeyId": key_id, "Arn": _arn(key_id), "KeySpec": SPEC, "KeyUsage": USAGE, "Enabled": True}}

    def disable_key(self, request: Request) -> Answer:
        self._keys[self._found(request)].state = "Disabled"
        return {}

    def enable_key(self, request: Request) -> Answer:
        self._keys[self._found(request)].state = "Enabled"
        return {}

    def get_public_key(self, request: Request) -> Answer:
        from cryptography.hazmat.primitives import serialization

        key_id = self._found(request)
        public = self._usable(key_id).public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        said = {"KeySpec": SPEC, "KeyUsage": USAGE, "SigningAlgorithms": [ALGORITHM]}
        return {"KeyId": _arn(key_id), "PublicKey": der, **said}

    def sign(self, request: Request) -> Answer:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        key_id = self._found(request)
        private = self._usable(key_id)
        if request["SigningAlgorithm"] != ALGORITHM:
            raise _invalid(f"Algorithm {request['SigningAlgorithm']} and key spec {SPEC} are incompatible.")
        if request.get("MessageType") != "DIGEST":
            raise NotImplementedError("only digests are signed in this process")
        if len(request["Message"]) != DIGEST_BYTES:
            raise _invalid(f"Digest is invalid length for algorithm {ALGORITHM}.")
        signature = private.sign(request["Message"], ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return {"KeyId": _arn(key_id), "Signature": signature, "SigningAlgorithm": ALGORITHM}

    def _found(self, request: Request) -> str:
        named = _KEY.fullmatch(request["KeyId"])
        if named is None or named[1] not in self._keys:
            raise ServiceError("NotFoundException", f"Key '{request['KeyId']}' does not exist")
        return named[1]

    def _usable(self, key_id: str) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives import serialization

        key = self._keys[key_id]
        if key.state != "Enabled":
            raise ServiceError("DisabledException", f"{_arn(key_id)} is disabled.")
        return cast("EllipticCurvePrivateKey", serialization.load_der_private_key(key.private, password=None))


def _arn(key_id: str) -> str:
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}"


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
