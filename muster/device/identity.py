"""A device's identity on disk: one JSON file, readable by its owner only, replaced in one step.

It is written twice: with the proof before the first enrolment leaves, and with the key after the reply. A device that dies
in between repeats the same enrolment and gets the same key. A rotation of the key goes in the same way.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from muster.device.files import replace_file

FILE = "identity.json"


class Identity(BaseModel):
    """Who this device is, towards which server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    client_id: str
    proof: str
    key: str | None = None
    next_proof: str | None = None
    """Of a rotation that has begun: whether it has ended is not known."""
    signing_key: str | None = None
    """The public key that signs what this device may run (SubjectPublicKeyInfo in DER, base64); None: it believes its server.
    Here, because it is pinned in the same step in which the device's own key is kept."""

    def save(self, folder: Path) -> None:
        """Write the file, whole or not at all, and make it durable. What is None is left out: earlier releases may read it."""
        replace_file(folder / FILE, self.model_dump_json(exclude_none=True).encode())

    @classmethod
    def load(cls, folder: Path) -> Identity | None:
        """The stored identity, or None when there is none.

        Raises:
            pydantic.ValidationError: the file is damaged.
        """
        path = folder / FILE
        return cls.model_validate_json(path.read_bytes()) if path.exists() else None

    @classmethod
    def fresh(cls, url: str, client_id: str) -> Identity:
        """A new identity that was not enrolled yet."""
        return cls(url=url, client_id=client_id, proof=fresh_proof())


def fresh_proof() -> str:
    """256 random bits: whoever repeats them is the same device."""
    return secrets.token_urlsafe(32)
