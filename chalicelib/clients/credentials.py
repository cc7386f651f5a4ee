"""Keys and tokens. Both read `<public id>.<secret>`; of a secret only the SHA-256 is ever stored.

The secrets have 256 random bits, so a plain hash is enough: there is nothing to guess that a slow hash would slow down.

A device's key is a function of the token's secret and of a proof that the device made: HMAC-SHA256(token secret,
client id ‖ 0 ‖ proof). The same enrolment therefore has the same answer however often it is sent, a lost reply strands
nobody, and whoever lacks the proof cannot obtain the key of an id that is taken. The server's half keeps the key strong
even where a device has a poor source of randomness at its first boot.
A rotated key is made in the same way from the key before it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from chalicelib.clients.client import Client, ClientState

_SHAPE = re.compile(r"(?P<public>[A-Za-z0-9][A-Za-z0-9_-]{2,63})\.(?P<secret>[A-Za-z0-9_-]{22,128})")


@dataclass(frozen=True, slots=True)
class Credential:
    """A public id and a secret, as a bearer presented them."""

    public: str
    secret: str

    def __str__(self) -> str:
        return f"{self.public}.{self.secret}"

    def __repr__(self) -> str:
        return f"Credential({self.public}.…)"

    @property
    def hashed(self) -> str:
        """SHA-256 of the secret in hex: what is stored and compared."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def parse(text: str) -> Credential | None:
    """The credential that a text holds, or None when it has not the shape of one."""
    found = _SHAPE.fullmatch(text)
    return Credential(found["public"], found["secret"]) if found else None


def parse_bearer(header: str | None) -> Credential | None:
    """The credential of an `Authorization` header (RFC 6750), or None."""
    scheme, _, text = (header or "").partition(" ")
    return parse(text.strip()) if scheme.lower() == "bearer" else None


def new_token() -> Credential:
    """A fresh enrolment token."""
    return Credential(secrets.token_hex(8), secrets.token_urlsafe(32))


def device_key(earlier: Credential, client_id: str, proof: str) -> Credential:
    """The key that `client_id` gets for an earlier credential and a proof; always the same one.

    The earlier credential is the token with which it enrols, or the key that it rotates away.
    """
    digest = hmac.digest(earlier.secret.encode(), f"{client_id}\0{proof}".encode(), "sha256")
    return Credential(client_id, urlsafe_b64encode(digest).rstrip(b"=").decode())


def same(stored_hash: str, credential: Credential) -> bool:
    """Whether a stored hash is that of this credential, compared in constant time."""
    return hmac.compare_digest(stored_hash, credential.hashed)


def holds(client: Client | None, credential: Credential) -> bool:
    """Whether this is the key of an active client. Without a client the same work is done, so that time tells nothing."""
    matches = same(client.key_hash if client else "0" * 64, credential)
    return matches and client is not None and client.state is ClientState.ACTIVE
