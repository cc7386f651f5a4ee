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

from muster.device.identity import Identity, fresh_proof
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
        self.learn(reply.key)

    def learn(self, key: str) -> None:
        """Go by this key from now on, also when the disk does not take it: what it has leads to the same key again."""
        self.identity, self.is_saved = self.identity.model_copy(update={"key": key, "next_proof": None}), False
        try:
            self.save()
        except OSError as error:
            what = "%s: its key is in memory only, %s does not take it: %s"
            log.error(what, self.identity.client_id, self._folder, error)  # noqa: TRY400 (nobody needs the traceback)

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
