"""Which version a device should run, which one it runs and which one stands by: asked for, downloaded, verified.

current    the version that the server gives this device: it runs that one from then on
stand_by   a version that is not run yet: on the disk, so that the switch to it, and the way back, need no download
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from muster.device.checkpoints import CheckpointCache
from muster.device.keys import Keys
from muster.device.transport import DeviceTransport
from muster.device.trust import Trust
from muster.device.variant import LastVariant, Variant
from muster.http.errors import Untrusted
from muster.wire import messages as wire
from muster.wire.arrays import Array, decode
from muster.wire.statements import Statement
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit


class DeviceVersions:
    """The versions of one model on one device."""

    def __init__(
        self, *, model: str, folder: Path, keys: Keys, transport: DeviceTransport, checkpoints: CheckpointCache
    ) -> None:
        self.running: int | None = None
        """The version that `current` gave last."""
        self.given: int | None = None
        """The version that the server said last this device should run; None as long as it has not."""
        self._path = f"/v1/models/{model}"
        self._keys = keys
        self._transport = transport
        self._checkpoints = checkpoints
        self._trust = Trust(folder, model)
        self.last = LastVariant(folder, model)
        """What `current` gave last, also before this start."""
        self._served: tuple[str, wire.ModelReply] | None = None
        self._checked_with: str | None = None
        """The pinned key against which `_served` was held."""
        self._offered: int | None = None
        """How many versions the revision of `_served` offers; None where it was not verified."""

    @property
    def held(self) -> list[str]:
        """The digests of checkpoints that are there."""
        return self._checkpoints.held

    def current(self) -> tuple[int, Mapping[str, Array]]:
        """The version that this device should run, and runs from now on: its number, and its arrays.

        Raises:
            Undeployed: a key is pinned, and whoever holds it does not let this device run what the server gives.
            Untrusted: the bytes are not what was announced.
            Unreachable: the server or the store did not answer.
        """
        if self._checked_with != self._keys.identity.signing_key:
            self._served = None  # another key was pinned: what is known was not held against it
        if self._served and self._checkpoints.find(self._served[1].checkpoint.sha256) is None:
            self._served = None  # where to read it is asked for again, whether or not it is another one
        known, path = self._served, self._asking()
        served = self._keys.send(lambda key: self._transport.call_again(path, wire.ModelReply, known, key))
        if served is not known:
            statement = self._check(served[1])
            self._offered = len(statement.offered) if statement else None
            self._checked_with = self._keys.identity.signing_key
        self._served = served
        checkpoint = self._served[1].checkpoint
        arrays = self.arrays(checkpoint)
        pinned = self._checkpoints.pinned
        if checkpoint.sha256 not in pinned:
            # One alone stood by before anything ran, as after a restart. Of two, nobody switches between those any more.
            self._checkpoints.pinned = pinned | {checkpoint.sha256} if len(pinned) == 1 else frozenset()
        self.running = self.given = checkpoint.version
        revision = self._served[1].revision
        self.last.note(Variant(version=checkpoint.version, sha256=checkpoint.sha256, revision=revision, offered=self._offered))
        return checkpoint.version, arrays

    def stand_by(self, version: int) -> None:
        """Have a version on the disk, verified, without running it. It stays there, with the one that runs, until `current`
        gives a third one, or another one is to stand by.

        Raises:
            Undeployed: as of `current`.
            Untrusted: the server gives another version to stand by (any more), or not what was announced.
            Unreachable: the server or the store did not answer.
            OSError: the disk does not take it.
        """
        path = self._asking("standby=true")
        reply = self._keys.call("GET", path, wire.ModelReply)
        self._check(reply)
        checkpoint = reply.checkpoint
        if checkpoint.version != version:
            raise Untrusted(f"expected version {version} to stand by, the server gives version {checkpoint.version}")
        runs = {self._served[1].checkpoint.sha256} if self._served else set()
        self._checkpoints.pinned = frozenset(runs | {checkpoint.sha256})
        self.arrays(checkpoint)
        if not self._checkpoints.is_on_disk(checkpoint.sha256):
            raise OSError(f"version {version} does not stand by: it is in memory only, the disk did not take it")

    def _check(self, reply: wire.ModelReply) -> Statement | None:
        identity = self._keys.identity
        if identity.signing_key is None:
            return None
        return self._trust.check(reply, identity.url, identity.signing_key)

    def heard(self, version: int | None, reply: wire.HeartbeatReply) -> None:
        """Take what the answer to a heartbeat says; `version` is the one that the heartbeat named."""
        self.given = version if reply.newer_version is None else reply.newer_version

    def arrays(self, checkpoint: wire.Checkpoint) -> dict[str, Array]:
        """A version's arrays; downloaded once, then kept for a while."""
        data = self._checkpoints.get(checkpoint, self._transport)
        try:
            return decode(data, HEADER_LIMIT_BYTES)
        except Unfit as unfit:
            raise Untrusted(f"version {checkpoint.version}: {unfit}") from unfit

    def _asking(self, *words: str) -> str:
        held = ",".join(self.held)
        query = "&".join((*words, f"have={held}") if held else words)
        return f"{self._path}?{query}" if query else self._path
