"""The honest object store: checkpoints, deltas and updates under presigned URLs."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Collection
from typing import Any

from muster.conformance.checks import Board
from muster.conformance.http import Answer, Seen
from muster.conformance.requests import RoutedRequest
from muster.conformance.rounds import ScriptedRound
from muster.conformance.versions import ServedVersion, ServedVersions
from muster.wire import messages as wire

PREFIX = "/store/"
_FREE = frozenset({"host", "user-agent", "accept", "accept-encoding", "accept-language", "connection", "content-length"})
"""Headers that a PUT may have besides those of its grant."""


class Store:
    """Its objects are the versions, and what the round holds."""

    def __init__(self, versions: ServedVersions, board: Board) -> None:
        self.origin = ""
        """Scheme, host and port of every URL."""
        self.offers_deltas = False
        self._versions = versions
        self._board = board
        self._urls: dict[str, tuple[str, str]] = {}
        """What a target is for: its kind, and which one."""
        self._expired: set[str] = set()
        self._known: dict[str, ServedVersion] = {}
        """Those that a URL was made for, by digest."""

    def checkpoint(self, version: ServedVersion, have: Collection[str]) -> dict[str, Any]:
        """A version as an assignment names it, with fresh URLs of itself and of the delta to it, if the device has its base."""
        self._known[version.sha256] = version
        made: dict[str, Any] = {
            "version": version.number,
            "sha256": version.sha256,
            "bytes": len(version.data),
            "url": self.url("checkpoint", version.sha256),
        }
        before = self._versions[version.number - 1] if version.delta else None
        if self.offers_deltas and before and before.sha256 in have and version.sha256 not in have:
            url = self.url("delta", version.sha256)
            made["delta"] = {"base_sha256": before.sha256, "bytes": len(version.delta), "url": url}
        return made

    def url(self, kind: str, which: str) -> str:
        """A fresh presigned URL."""
        signed = f"X-Amz-Credential=kit%2F20260101%2Fs3%2Faws4_request&X-Amz-Signature={secrets.token_hex(16)}"
        target = f"/store/{kind}/{which}?{signed}"
        self._urls[target] = (kind, which)
        return self.origin + target

    def expire(self, target: str) -> None:
        """A URL is good no more."""
        self._expired.add(target)

    def read(self, seen: Seen) -> tuple[RoutedRequest, Answer | None]:
        """What a request is for; and its refusal, if the store would not act upon it."""
        kind, which = self._urls.get(seen.target, ("unknown", ""))
        if "authorization" in seen.headers:
            self._board.failed("key-stays-home", f"the key was sent to the store, with {seen.method} of a {kind}")
        if kind == "unknown":
            self._board.failed("urls-as-given", "the store was asked for a URL that was not given like this")
            return RoutedRequest(seen=seen, route="unknown"), Answer(
                status=403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
            )
        self._board.passed("urls-as-given")
        if seen.method != ("PUT" if kind == "put" else "GET"):
            self._board.failed("urls-as-given", f"{seen.method} to a URL that was signed for another method")
            return RoutedRequest(seen=seen, route="unknown"), Answer(status=403)
        request = RoutedRequest(seen=seen, route=kind, names=(which,))
        expired = seen.target in self._expired
        return request, Answer(status=403, body=b"<Error><Code>AccessDenied</Code></Error>") if expired else None

    def download(self, request: RoutedRequest, rnd: ScriptedRound | None) -> Answer:
        """A checkpoint, or a delta to it."""
        version = self._known[request.names[0]]
        if request.route == "delta":
            return Answer(status=200, body=version.delta)
        if rnd:
            rnd.read.append(version.sha256)
            if version.sha256 in rnd.had and version in (rnd.base, rnd.candidate):
                self._board.failed("keeps-checkpoints", f"it read version {version.number}, which it says it has")
        return Answer(status=200, body=version.data)

    def put(self, request: RoutedRequest, rnd: ScriptedRound) -> Answer:
        """Store an update, if it is what its grant was bound to."""
        seen = request.seen
        wanted = {name.lower(): value for name, value in headers_of(rnd.declared).items()} if rnd.declared else {}
        got = {name: value for name, value in seen.headers.items() if name in wanted or name not in _FREE}
        if rnd.declared is None or rnd.declared.sha256 != request.names[0] or got != wanted:
            differ = sorted(name for name in got.keys() | wanted.keys() if got.get(name) != wanted.get(name))
            self._board.failed("put-as-granted", f"other headers than the grant's: {', '.join(differ)}")
            return Answer(status=403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if hashlib.sha256(seen.body).hexdigest() != rnd.declared.sha256:
            self._board.failed("put-as-granted", "the body has another SHA-256 than was declared")
            return Answer(status=400, body=b"<Error><Code>BadDigest</Code></Error>")
        if rnd.stored is not None:
            return Answer(status=412, body=b"<Error><Code>PreconditionFailed</Code></Error>")
        self._board.passed("put-as-granted")
        rnd.stored = seen.body
        return Answer(status=200)


def headers_of(declared: wire.UploadRequest) -> dict[str, str]:
    """The headers that a grant binds."""
    checksum = b64encode(bytes.fromhex(declared.sha256)).decode()
    return {"Content-Length": str(declared.bytes), "If-None-Match": "*", "x-amz-checksum-sha256": checksum}
