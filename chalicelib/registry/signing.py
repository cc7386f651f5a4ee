"""Signs revisions of the deployments' log: what a device holds a version against before it runs it.

`RegistryStore` asks for it where it makes the one write that makes a revision, so no writer can leave it out. The signature is
a member of the row: revision and signature are there together or not at all. A revision that is written twice is signed twice,
and the first row stands.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from chalicelib.registry.deployment import Deployment, Signed
from chalicelib.registry.version import Version
from muster.wire.statements import Offer, Statement


class Signer(Protocol):
    """A key that signs (`chalicelib.storage.signing.SigningKey`)."""

    @property
    def key(self) -> str:
        """Which one it is."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A signature in DER."""
        ...


class OtherBytes(Exception):
    """The log names other bytes for a version than its own row: one of the two was changed by hand. Nothing is signed."""


def signed(deployment: Deployment, version: Callable[[int], Version], signer: Signer) -> Deployment:
    """The revision with its statement and signature; `version` reads a version's row.

    Raises:
        OtherBytes: a version that would be offered is not what its row says.
        Refusal: `signing-failed`.
    """
    text = statement(deployment, version).text
    signature = b64encode(signer.sign(text.encode())).decode()
    return replace(deployment, signed=Signed(statement=text, signature=signature, key=signer.key))


def statement(deployment: Deployment, version: Callable[[int], Version]) -> Statement:
    """What is signed of a revision.

    Raises:
        OtherBytes: a version that would be offered is not what its row says.
    """
    offered: list[Offer] = []
    for ref in deployment.offered:
        row = version(ref.version)
        if (row.checkpoint.sha256, row.checkpoint.nbytes) != (ref.sha256, ref.nbytes):
            raise OtherBytes(
                f"version {ref.version} of {deployment.model}: "
                f"expected {row.checkpoint.sha256} ({row.checkpoint.nbytes} bytes) "
                f"as in its row, got {ref.sha256} ({ref.nbytes} bytes) in the log"
            )
        offer = Offer(
            version=ref.version,
            sha256=ref.sha256,
            bytes=ref.nbytes,
            document_sha256=row.document_sha256,
            parent=row.parent,
        )
        offered.append(offer)
    return Statement(model=deployment.model, revision=deployment.revision, offered=offered)
