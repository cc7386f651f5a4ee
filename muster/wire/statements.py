"""What a signature says of a deployment: which versions the clients of a model may be given, by which revision of its log.

    canonical JSON of a `Statement` ──▶ ECDSA P-256 over SHA-256 (FIPS 186-5) ──▶ DER (RFC 3279, section 2.2.3), base64

The text is signed and sent as it is; nobody makes it anew to check it. docs/protocol.md, section 12, has a test vector.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from muster.wire.messages import ModelName, Sha256, VersionNumber
from muster.wire.refs import canonical_json

FORMAT: Literal["muster-deployment-1"] = "muster-deployment-1"
"""What the key signs besides could not be taken for a statement: it begins otherwise."""

LONGEST_STATEMENT = 64 * 1024
"""Characters; a version takes some 250."""

LONGEST_SIGNATURE = 128
"""Characters of base64: a signature of P-256 has at most 72 bytes in DER."""

LONGEST_KEY = 256
"""Characters of base64: a public key of P-256 has 91 bytes in DER."""


class Offer(BaseModel):
    """A version that clients may be given."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    version: VersionNumber
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]
    document_sha256: Sha256
    """Of the document that describes it (docs/data-model.md)."""
    parent: VersionNumber | None
    """The version that was deployed when this one was made; None where an operator brought it."""


class Statement(BaseModel):
    """What is signed of one revision. A later release may say more of it; a reader passes over what it does not know."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    format: Literal["muster-deployment-1"] = FORMAT
    model: ModelName
    revision: Annotated[int, Field(ge=1, lt=2**63)]
    offered: Annotated[list[Offer], Field(min_length=1, max_length=200)]

    @property
    def text(self) -> str:
        """The text that is signed."""
        return canonical_json(self.model_dump()).decode()
