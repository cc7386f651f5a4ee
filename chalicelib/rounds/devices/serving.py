"""What a device is told between rounds: its heartbeat's answer, the version that it should run, and what a rollout asks."""

from __future__ import annotations

from chalicelib.clients.credentials import Credential
from chalicelib.clients.directory import Directory
from chalicelib.clients.pacing import Pacing
from chalicelib.clients.presence import Presence
from chalicelib.instants import Clock
from chalicelib.registry.urls import handed_out
from chalicelib.rollouts.assigning import given_to
from chalicelib.rollouts.hearing import heard_within
from chalicelib.rollouts.reporting import Reporting
from chalicelib.rounds.devices.current import Current, unknown_model
from chalicelib.rounds.devices.pacing import RoundPaces
from chalicelib.storage.presign import Presigner
from muster.wire import messages as wire


class Serving:
    """Answers from memory where it can; what it says is a hint to come and ask."""

    def __init__(
        self,
        *,
        directory: Directory,
        presence: Presence,
        current: Current,
        reporting: Reporting,
        presigner: Presigner,
        pacing: Pacing,
        paces: RoundPaces,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._presence = presence
        self._current = current
        self._reporting = reporting
        self._presigner = presigner
        self._pacing = pacing
        self._paces = paces
        self._clock = clock

    def heartbeat(self, caller: Credential | None, beat: wire.Heartbeat) -> wire.HeartbeatReply:
        """Mark the caller alive, and say when to come again and what waits.

        Raises:
            Refusal: `unauthenticated`, `too-many-requests`, `unknown-model`.
        """
        client = self._presence.heartbeat(caller, beat)
        if client is None:
            raise unknown_model(str(beat.model))
        if beat.model is None:
            seconds = self._pacing.next_heartbeat()
            return wire.HeartbeatReply(next_heartbeat_seconds=seconds, drawn=True, work=False, newer_version=None)
        deployment = self._current.deployment(beat.model)
        served = given_to(client, deployment).version
        rnd = self._current.round.get(beat.model)
        rests, asks = self._current.rests(beat.model, rnd), self._reporting.heard(client, beat, deployment)
        soon = heard_within(deployment, self._clock(), is_asked=asks is not None)
        return wire.HeartbeatReply(
            next_heartbeat_seconds=self._paces.next_heartbeat(beat.model, rnd, rests=rests, heard_within=soon),
            drawn=True,
            work=not rests,
            newer_version=None if served == beat.version else served,
            asks=asks,
        )

    def model(
        self, name: str, caller: Credential | None, query: wire.ModelQuery, known_tag: str | None
    ) -> tuple[str, wire.ModelReply | None]:
        """The tag of what the caller should run, and where to read it, or None when it has that already (`known_tag`).

        The tag names the version too: two may have the same bytes, and who runs one should hear of the other.

        Raises:
            Refusal: `unauthenticated`, `unknown-model`.
        """
        client = self._directory.authenticate(caller)
        if not client.may_use(name):
            raise unknown_model(name)
        deployment = self._current.deployment(name)
        wanted = given_to(client.described, deployment)
        if query.standby and deployment.rollout is not None:
            wanted = deployment.rollout.candidate
        tag = f'"{wanted.version}.{wanted.sha256}"'
        if known_tag == tag:
            return tag, None
        checkpoint = handed_out(wanted, self._presigner, (query.have or "").split(","))
        signed = deployment.signed
        reply = wire.ModelReply(
            model=name,
            revision=deployment.revision,
            round=deployment.round,
            checkpoint=checkpoint,
            statement=signed and signed.statement,
            signature=signed and signed.signature,
        )
        return tag, reply
