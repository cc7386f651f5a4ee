"""What moto signs, put right: it hashes a digest once more; KMS signs it as it is (AWS KMS API: "Sign", MessageType).

Without it no device could verify what the local cloud signs.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto.kms.exceptions import ValidationException
from moto.kms.responses import KmsResponse

ALGORITHM, DIGEST_BYTES = "ECDSA_SHA_256", 32

_of_messages = KmsResponse.sign


def _sign(self: KmsResponse) -> str:
    key_id, digest, algorithm = (self._get_param(name) for name in ("KeyId", "Message", "SigningAlgorithm"))
    if self._get_param("MessageType") != "DIGEST" or algorithm != ALGORITHM:
        return _of_messages(self)  # which refuses what the key cannot do
    self._validate_key_id(key_id)
    if len(digest) != DIGEST_BYTES:
        raise ValidationException(f"Digest is invalid length for algorithm {algorithm}.")
    key = self.kms_backend.describe_key(key_id)
    private: Any = key.private_key
    signature = private.private_key.sign(digest, ECDSA(Prehashed(SHA256())))
    said = {"KeyId": key.arn, "Signature": base64.b64encode(signature).decode(), "SigningAlgorithm": algorithm}
    return json.dumps(said)


def sign_digests() -> None:
    """Let moto sign digests in this process, from now on."""
    KmsResponse.sign = _sign  # type: ignore[method-assign]
