"""Which deployments a device believes: those that the pinned key has signed, and none older than one that it has seen.

    an answer ──▶ signed by the pinned key? ──▶ of this model? ──▶ offers this version? ──▶ older than what was seen? ──▶ noted

A device that has pinned no key believes its server, as it always did. What is signed is in `muster.wire.statements`.
"""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from muster.device.errors import BadSignature, ForeignKey, NotOffered, Replayed, Unsigned
from muster.device.files import replace_file
from muster.wire.messages import ModelReply
from muster.wire.statements import LONGEST_KEY, LONGEST_SIGNATURE, LONGEST_STATEMENT, Statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

log = logging.getLogger(__name__)


class SeenRevision(BaseModel):
    """The highest revision that was seen of one log: that of one server, signed with one key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    signing_key: str
    revision: int


class Trust:
    """What one device has seen of one model's deployments, in a file of its own."""

    def __init__(self, folder: Path, model: str) -> None:
        """Raises:
        pydantic.ValidationError: the file is damaged.
        """
        self._model = model
        self._path = folder / seen_file(model)
        self._seen = SeenRevision.model_validate_json(self._path.read_bytes()) if self._path.exists() else None
        self._is_saved = True

    def check(self, reply: ModelReply, url: str, signing_key: str) -> Statement:
        """See that a version may be run or stand by, and note the revision that says so, before anything of it is read; what
        was signed.

        A note that the disk does not take is in memory until the device is started again, and written when it does.

        Raises:
            Unsigned, BadSignature, NotOffered, Replayed: it may not.
        """
        statement = verified(reply, self._model, signing_key)
        seen = self._seen
        if seen is None or (seen.url, seen.signing_key) != (url, signing_key):
            seen = None  # another log: the device was moved, or another key was pinned
        elif statement.revision < seen.revision:
            raise Replayed(
                f"{self._model}: expected revision {seen.revision} or a later one, the server gives revision "
                f"{statement.revision}, which is over"
            )
        if seen is None or statement.revision > seen.revision:
            self._seen, self._is_saved = SeenRevision(url=url, signing_key=signing_key, revision=statement.revision), False
        if not self._is_saved and self._seen is not None:
            self._save(self._seen)
        return statement

    def _save(self, seen: SeenRevision) -> None:
        try:
            replace_file(self._path, seen.model_dump_json().encode())
            self._is_saved = True
        except OSError as error:
            what = "%s: that revision %d was seen is in memory only, the disk does not take it: %s"
            log.error(what, self._model, seen.revision, error)  # noqa: TRY400 (nobody needs the traceback)


def seen_file(model: str) -> str:
    """The name of the file that notes which revision was seen."""
    return f"{model}.revision.json"


def verified(reply: ModelReply, model: str, signing_key: str) -> Statement:
    """The statement of an answer, if it lets this model's clients have the checkpoint of the answer.

    Raises:
        Unsigned: there is none.
        BadSignature: it was not signed with this key.
        NotOffered: it is of another model, or does not offer this checkpoint.
    """
    if reply.statement is None or reply.signature is None:
        raise Unsigned(f"{model}: revision {reply.revision} is not signed, and this device has pinned a key")
    statement = _read(reply.statement, reply.signature, signing_key, model)
    if statement.model != model:
        raise NotOffered(f"expected a statement of {model}, got one of {statement.model}")
    given = (reply.checkpoint.version, reply.checkpoint.sha256, reply.checkpoint.bytes)
    if given not in [(offer.version, offer.sha256, offer.bytes) for offer in statement.offered]:
        offered = ", ".join(f"version {offer.version} ({offer.sha256[:12]}…)" for offer in statement.offered)
        raise NotOffered(
            f"{model}: revision {statement.revision} offers {offered}, the server gives version {given[0]} ({given[1][:12]}…)"
        )
    return statement


def public_key(text: str) -> EllipticCurvePublicKey:
    """A public key of P-256: a SubjectPublicKeyInfo in DER, as base64.

    Raises:
        ValueError: it is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(_decoded(text, LONGEST_KEY))
    except (UnsupportedAlgorithm, TypeError) as error:
        raise ValueError(f"expected a public key of P-256, got another: {error}") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("expected a public key of P-256, got another kind of key")  # noqa: TRY004
    return key


def check_shown(shown: str | None, expected: str | None) -> None:
    """See that the key that a server shows is one, and the one that is expected.

    Raises:
        ForeignKey: it is not.
    """
    if expected not in (None, shown):
        raise ForeignKey(f"the server shows {'another' if shown else 'no'} key that signs than the app expects")
    try:
        if shown is not None:
            public_key(shown)
    except ValueError as error:
        raise ForeignKey(f"the server shows a key that is none: {error}") from error


def _read(statement: str, signature: str, signing_key: str, model: str) -> Statement:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    if len(statement) > LONGEST_STATEMENT or not statement.isascii():
        raise BadSignature(f"{model}: expected at most {LONGEST_STATEMENT} characters of ASCII as a statement")
    try:
        public_key(signing_key).verify(_decoded(signature, LONGEST_SIGNATURE), statement.encode(), ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise BadSignature(f"{model}: the statement was not signed with the key that this device has pinned") from error
    try:
        return Statement.model_validate_json(statement)
    except ValidationError as error:
        raise BadSignature(f"{model}: what was signed is no statement that this release knows") from error


def _decoded(text: str, longest: int) -> bytes:
    """The bytes that a text of base64 stands for, of which there is one text only.

    Raises:
        ValueError: it is no base64, longer, or another text for the same bytes.
    """
    if len(text) > longest:
        raise ValueError(f"expected at most {longest} characters of base64, got {len(text)}")
    data = b64decode(text, validate=True)
    if b64encode(data).decode() != text:
        raise ValueError("expected base64 as it is written, got another spelling")
    return data
