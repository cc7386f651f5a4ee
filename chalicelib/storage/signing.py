"""The key that signs deployments: ECC_NIST_P256 in KMS, which never gives away its private half.

What cannot be signed is not written, so a key that cannot be used is a refusal: an operator reads it, a tick tries again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

from chalicelib.errors import Refusal
from chalicelib.storage.answers import BrokenAnswer, insist
from muster.wire.problems import Problem


class SigningKey:
    """One asymmetric key of KMS. `client` makes a boto3 client of KMS, when it is needed; `key` is an id or an ARN."""

    def __init__(self, client: Callable[[], Any], key: str) -> None:
        self._make_client = client
        self.key = key

    @cached_property
    def _client(self) -> Any:
        return self._make_client()

    def sign(self, message: bytes) -> bytes:
        """A signature in DER. Each is another one: ECDSA draws a number.

        Raises:
            Refusal: `signing-failed`.
        """
        # A digest has one length; of a message KMS takes 4,096 bytes (AWS KMS API: "Sign").
        request = {
            "KeyId": self.key,
            "Message": hashlib.sha256(message).digest(),
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        }
        return bytes(self._ask(self._client.sign, "Signature", **request))

    @cached_property
    def public(self) -> bytes:
        """The public half: a SubjectPublicKeyInfo in DER (RFC 5280). Asked for once in a function instance.

        Raises:
            Refusal: `signing-failed`.
        """
        return bytes(self._ask(self._client.get_public_key, "PublicKey", KeyId=self.key))

    def _ask(self, call: Callable[..., Any], member: str, **request: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return insist(call, member, **request)[member]
        except (BotoCoreError, BrokenAnswer, ClientError) as error:
            code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
            raise Refusal(
                Problem.SIGNING_FAILED,
                "the key that signs deployments cannot be used; nothing was changed",
                expected="a key that is enabled, and that this function may use: docs/operations.md",
                got=f"KMS says {code.removesuffix('Exception')}" if code else "no usable answer of KMS",
            ) from error
