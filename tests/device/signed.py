"""Answers of a server that are signed, and the keys that sign them."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from muster.wire.messages import Checkpoint, ModelReply
from muster.wire.statements import Offer, Statement

KEY = ec.derive_private_key(7, ec.SECP256R1())
OTHER = ec.derive_private_key(8, ec.SECP256R1())


def shown(key: ec.EllipticCurvePrivateKey) -> str:
    """A key's public half as a device pins it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


def signature(text: str, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))).decode()


def offer(version: int) -> Offer:
    return Offer(version=version, sha256=f"{version:064x}", bytes=100 + version, document_sha256="d" * 64, parent=None)


def reply(revision: int, given: int, *offered: int, model: str = "toy", key: ec.EllipticCurvePrivateKey = KEY) -> ModelReply:
    """What a server answers that gives one version, by a revision that offers some."""
    text = Statement(model=model, revision=revision, offered=[offer(version) for version in offered]).text
    what = offer(given)
    given_as = Checkpoint(version=what.version, sha256=what.sha256, bytes=what.bytes, url="https://store.test/x")
    return ModelReply(
        model="toy", revision=revision, round=None, checkpoint=given_as, statement=text, signature=signature(text, key)
    )


PINNED = shown(KEY)
