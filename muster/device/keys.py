"""The device's key: sent with every request, rotated, and never lost, whatever breaks off where.

    a proof on the disk ──▶ the request ──▶ the key in memory ──▶ the key on the disk

A rotation that broke off goes on with the same proof and has the same end. Once the server has done it the old key is good for
that alone: so where a key is refused while a rotation is under way, the rotation is ended first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from muster.device.errors import DeviceError, ForeignKey
from muster.device.identity import Identity, fresh_proof
from muster.device.trust import public_key
from muster.http.answers import Reply
from muster.http.errors import Refused
from muster.http.transport import Transport
from muster.wire import messages as wire

log = logging.getLogger(__name__)

Sent = TypeVar("Sent")


class Keys:
    """Who the device is, as it goes by it (`identity`) and as the disk has it."""

    def __init__(self, identity: Identity, folder: Path, transport: Transport) -> None:
        self.identity = identity
        self.is_saved = True
        """Whether the disk has the identity as it is."""
        self._folder = folder
        self._transport = transport

    @property
    def is_rotating(self) -> bool:
        """Whether a rotation has begun of which it is not known whether it has ended."""
        return self.identity.next_proof is not None

    def call(self, method: str, path: str, reply: type[Reply] | TypeAdapter[Reply], body: wire.Request | None = None) -> Reply:
        """Send one request with the key, and read its answer."""
        return self.send(lambda key: self._transport.call(method, path, reply, body, key))

    def send(self, request: Callable[[dict[str, str]], Sent]) -> Sent:
        """Send a request with the key; and, where it is refused in a rotation, once more with the new one.

        Raises:
            Refused: `unauthenticated`, or what else the request meets.
        """
        try:
            return request(self._authorization)
        except Refused as refused:
            if not (refused.unauthenticated and self.is_rotating):
                raise
        log.info("%s: its key is refused while it is being rotated; the rotation goes on", self.identity.client_id)
        self.rotate()
        return request(self._authorization)

    def rotate(self) -> None:
        """Put a fresh key in the place of the present one, or go on with doing so.

        Raises:
            Refused: `unauthenticated`: the present key is not valid.
            Unreachable: the server did not answer.
            OSError: the disk has no room for what a rotation must remember; it has not begun.
        """
        proof = self.identity.next_proof
        if proof is None:
            proof = fresh_proof()
            begun = self.identity.model_copy(update={"next_proof": proof})
            begun.save(self._folder)  # before anything is sent: whoever repeats the proof is the same device
            self.identity = begun
        path, rotation = "/v1/clients/me/key", wire.KeyRotation(proof=proof)
        reply = self._transport.call("POST", path, wire.Enrolled, rotation, self._authorization)
        self.learn(reply.key, self._to_pin(reply.signing_key))

    def go_on_rotating(self) -> None:
        """Go on with a rotation that broke off before this start, if one did. What fails is logged: it goes on later."""
        if not self.is_rotating:
            return
        try:
            self.rotate()
        except DeviceError as error:
            log.warning("%s: the rotation of its key goes on later: %s", self.identity.client_id, error)

    def learn(self, key: str, signing_key: str | None) -> None:
        """Go by this key from now on, and by this one that signs, also when the disk does not take it: what it has leads to the
        same key again.
        """
        learnt = {"key": key, "next_proof": None, "signing_key": signing_key}
        self.identity, self.is_saved = self.identity.model_copy(update=learnt), False
        try:
            self.save()
        except OSError as error:
            what = "%s: its key is in memory only, %s does not take it: %s"
            log.error(what, self.identity.client_id, self._folder, error)  # noqa: TRY400 (nobody needs the traceback)

    def pin(self, signing_key: str) -> None:
        """Go by this key that signs from now on, in the place of one that was pinned before.

        Raises:
            ValueError: it is no public key of P-256.
            OSError: the disk does not take it; nothing was pinned.
        """
        public_key(signing_key)
        pinned = self.identity.model_copy(update={"signing_key": signing_key})
        pinned.save(self._folder)
        self.identity, self.is_saved = pinned, True

    def insist(self, signing_key: str | None) -> None:
        """See that this key that signs is pinned, if one is expected; pin it where none is.

        Raises:
            ForeignKey: another one is pinned.
            OSError: the disk does not take it; nothing was pinned.
        """
        pinned = self.identity.signing_key
        if signing_key is None or signing_key == pinned:
            return
        if pinned is not None:
            raise ForeignKey("this device has pinned another key than the app expects (Device.pin exchanges it)")
        self.pin(signing_key)

    def _to_pin(self, shown: str | None) -> str | None:
        """The key that signs, after a rotation: the one that is pinned, or else the one that the server shows. No rotation is
        given up because of it: the old key is good for nothing any more.
        """
        pinned = self.identity.signing_key
        if pinned is not None or shown is None:
            if shown not in (None, pinned):
                log.error("%s: the server shows another key than the one that is pinned, which stays", self.identity.client_id)
            return pinned
        try:
            public_key(shown)
        except ValueError as error:
            log.error("%s: the server shows a key that is none: %s", self.identity.client_id, error)  # noqa: TRY400
            return None
        return shown

    def save(self) -> None:
        """Write the identity.

        Raises:
            OSError: the disk does not take it; it is as it was.
        """
        self.identity.save(self._folder)
        self.is_saved = True

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.identity.key}"}
