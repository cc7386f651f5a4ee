"""A typed client for the operators' routes: each method is one request, or says which ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypeVar

import httpx

from muster.device.transport import Transport
from muster.wire import messages as wire

Page = TypeVar("Page", wire.RoundList, wire.VersionList)


class Operator:
    """Steers models over HTTP. In an AWS account, `auth` signs each request (SigV4); a local cloud asks for none.

    Every method raises `muster.device.Refused` when the server says no, and `Unreachable` when it does not answer.
    """

    def __init__(self, url: str, *, auth: httpx.Auth | None = None, http: httpx.Client | None = None) -> None:
        self._transport = Transport(url, http=http, auth=auth)

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def mint_token(self, uses: int, *, expires_in_seconds: float = 86_400.0, label: str = "devices") -> wire.MintedToken:
        """A token that lets `uses` devices enrol."""
        request = wire.MintToken(uses=uses, expires_in_seconds=expires_in_seconds, label=label)
        return self._transport.call("POST", "/v1/admin/tokens", wire.MintedToken, request)

    def revoke(self, client_id: str) -> wire.ClientReply:
        """Take a device's key away for good."""
        return self._transport.call("POST", f"/v1/admin/clients/{client_id}/revoke", wire.ClientReply)

    def create_model(self, name: str, checkpoint: bytes, config: wire.RoundConfig) -> wire.ModelStatus:
        """Upload a checkpoint (a tensor file) and make it version 0 of a new model: three requests, safe to repeat."""
        upload = wire.CheckpointUpload(bytes=len(checkpoint), sha256=hashlib.sha256(checkpoint).hexdigest())
        grant = self._transport.call("POST", "/v1/admin/checkpoints", wire.UploadGrant, upload)
        self._transport.upload(grant, checkpoint)
        request = wire.CreateModel(name=name, config=config, checkpoint=upload)
        return self._transport.call("POST", "/v1/admin/models", wire.ModelStatus, request)

    def start(self, model: str, rounds: int) -> wire.ModelStatus:
        """Let rounds open until `rounds` of them have completed in the model's whole life."""
        return self._train(model, wire.Training(state="running", rounds=rounds))

    def stop(self, model: str) -> wire.ModelStatus:
        """Open no further round; one that is open goes on to its end."""
        return self._train(model, wire.Training(state="stopped"))

    def status(self, model: str) -> wire.ModelStatus:
        """A model, its training, what is deployed, and its current round."""
        return self._transport.call("GET", f"/v1/admin/models/{model}", wire.ModelStatus)

    def rounds(self, model: str) -> list[wire.RoundReply]:
        """All rounds of a model, newest first: one request a page."""
        pages = self._pages(f"/v1/admin/models/{model}/rounds", wire.RoundList)
        return [rnd for page in pages for rnd in page.rounds]

    def round(self, model: str, number: int) -> wire.RoundReply:
        """One round."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/rounds/{number}", wire.RoundReply)

    def versions(self, model: str) -> list[wire.VersionReply]:
        """All versions of a model, newest first: one request a page."""
        pages = self._pages(f"/v1/admin/models/{model}/versions", wire.VersionList)
        return [version for page in pages for version in page.versions]

    def version(self, model: str, number: int) -> wire.VersionReply:
        """One version, with a fresh download URL."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/versions/{number}", wire.VersionReply)

    def download(self, checkpoint: wire.Checkpoint) -> bytes:
        """A version's tensor file, verified against its digest."""
        return self._transport.download(checkpoint)

    def _train(self, model: str, request: wire.Training) -> wire.ModelStatus:
        return self._transport.call("PUT", f"/v1/admin/models/{model}/training", wire.ModelStatus, request)

    def _pages(self, path: str, kind: type[Page]) -> Iterator[Page]:
        page = self._transport.call("GET", path, kind)
        yield page
        while page.before is not None:
            page = self._transport.call("GET", f"{path}?before={page.before}", kind)
            yield page
