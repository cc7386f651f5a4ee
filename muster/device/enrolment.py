"""Enrolment: who the device of a folder is, the request that makes it a client, and a server that has moved.

    the folder ──▶ the identity in it, or a fresh one ──▶ without a key: on the disk ──▶ the request ──▶ the key

A device that dies on the way begins again with the identity that is on the disk, and is answered with the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from muster import __version__
from muster.device.files import remove_leftovers
from muster.device.identity import FILE, Identity
from muster.device.trust import check_shown, seen_file
from muster.device.update import feedback_file
from muster.device.variant import variant_file
from muster.http.transport import Transport
from muster.wire import messages as wire


def identity_of(folder: Path, *, url: str, client_id: str, model: str) -> Identity:
    """Who the device of this folder is. Without a key it was not enrolled yet, and what it needs to be is on the disk. What
    dead processes left of the device's files is deleted.

    Raises:
        ValueError: the folder is of another device or of another server.
        OSError: the disk has no room for the identity.
    """
    remove_leftovers(folder, FILE, feedback_file(model), seen_file(model), variant_file(model))
    identity = Identity.load(folder) or Identity.fresh(url, client_id)
    if (identity.url, identity.client_id) != (url, client_id):
        raise ValueError(
            f"{folder} belongs to {identity.client_id} at {identity.url}, not to {client_id} at {url} (Device.move says "
            "that the server has moved)"
        )
    if identity.key is None:
        identity.save(folder)
    return identity


def ask(
    transport: Transport,
    identity: Identity,
    *,
    token: str,
    device_type: str,
    capabilities: Mapping[str, bool | int | float | str] | None,
    signing_key: str | None,
) -> wire.Enrolled:
    """Ask for a key. Nothing of the answer is kept yet: the same identity asks again, and is answered with the same key.

    Raises:
        ForeignKey: as the key that signs, the server shows another one than `signing_key`, or what is none.
        Refused: `enrolment-refused`, `client-exists` or `fleet-full`.
        Unreachable: the server did not answer.
    """
    request = wire.Enrolment(
        token=token,
        client_id=identity.client_id,
        proof=identity.proof,
        device_type=device_type,
        sdk_version=__version__,
        capabilities=dict(capabilities or {}),
    )
    enrolled = transport.call("POST", "/v1/clients", wire.Enrolled, request)
    check_shown(enrolled.signing_key, signing_key)
    return enrolled


def move(folder: Path, url: str) -> None:
    """Note that the server of this folder's device is at `url` now.

    Raises:
        ValueError: the folder holds no identity.
    """
    identity = Identity.load(folder)
    if identity is None:
        raise ValueError(f"{folder} holds no identity")
    identity.model_copy(update={"url": url}).save(folder)
