"""Who may speak: tokens are minted, devices enrol, keys are checked, heartbeats counted, clients revoked."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.clients import credentials
from chalicelib.clients.client import Client, ClientState, EnrolmentToken
from chalicelib.clients.credentials import Credential
from chalicelib.clients.store import ClientStore
from chalicelib.errors import Refused
from chalicelib.instants import Clock
from chalicelib.storage.dynamo import ConditionFailed
from muster.wire import messages as wire
from muster.wire.problems import Problem


def unauthenticated() -> Refused:
    """One answer for an unknown id, a wrong key and a revoked client: it tells a stranger nothing."""
    return Refused(
        Problem.UNAUTHENTICATED,
        "the bearer key is unknown, wrong or revoked",
        expected="Authorization: Bearer <client_id>.<secret>",
        got="no key that is valid now",
    )


class Directory:
    """The use cases of clients."""

    def __init__(self, store: ClientStore, clock: Clock, heartbeat_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds

    def mint(self, request: wire.MintToken) -> wire.MintedToken:
        """A new enrolment token; its secret is in this reply and nowhere else."""
        now = self._clock()
        token = credentials.new_token()
        expires_at = now + timedelta(seconds=request.expires_in_seconds)
        self._store.add_token(
            EnrolmentToken(
                token.public, token.hashed, request.uses, request.label, now, expires_at, int(expires_at.timestamp())
            )
        )
        return wire.MintedToken(token=str(token), uses=request.uses, expires_at=expires_at)

    def enrol(self, request: wire.Enrolment) -> wire.Enrolled:
        """Register a device and give it its key; the same enrolment sent again has the same answer.

        The token is claimed first. A device that dies in between repeats, and its claim is already there.

        Raises:
            Refused: `enrolment-refused` (the token), `client-exists` (another device has the id).
        """
        token = credentials.parse(request.token)
        now = self._clock()
        if token is None:
            raise Refused(Problem.ENROLMENT_REFUSED, "the token has not the shape of one", expected="<id>.<secret>")
        try:
            self._store.claim(token, request.client_id, now)
        except ConditionFailed as lost:
            raise Refused(
                Problem.ENROLMENT_REFUSED,
                "this enrolment token admits no further client",
                expected=lost.condition.because,
                got="a token that is unknown, expired or used up",
            ) from lost
        key = credentials.device_key(token, request.client_id, request.proof)
        client = Client(
            request.client_id, key.hashed, ClientState.ACTIVE, request.device_type, request.sdk_version, now, now,
            dict(request.capabilities),
        )  # fmt: skip
        holder = self._store.add(client)
        if holder is not None and not (holder.state is ClientState.ACTIVE and credentials.same(holder.key_hash, key)):
            raise Refused(
                Problem.CLIENT_EXISTS,
                f"client id {request.client_id!r} was enrolled by another device or with another token",
                expected="an id that is free, or the token and proof that it was enrolled with",
                got="an id that is taken",
            )
        return wire.Enrolled(client_id=client.client_id, key=str(key), heartbeat_seconds=self._heartbeat_seconds)

    def authenticate(self, credential: Credential | None) -> Client:
        """The active client whose key this is.

        Raises:
            Refused: `unauthenticated`.
        """
        client = self._store.get(credential.public) if credential else None
        if credential is None or client is None or not _holds(client, credential):
            raise unauthenticated()
        return client

    def heartbeat(self, credential: Credential | None, beat: wire.Heartbeat) -> None:
        """Authenticate and mark alive, in one conditional write.

        Raises:
            Refused: `unauthenticated`.
        """
        if credential is None or not self._store.touch(credential, self._clock(), beat.model, beat.version):
            raise unauthenticated()

    def is_active(self, client_id: str) -> bool:
        """Whether the client is known and not revoked, at this instant."""
        client = self._store.get(client_id)
        return client is not None and client.state is ClientState.ACTIVE

    def revoke(self, client_id: str) -> wire.ClientReply:
        """Take a client's key away for good; a repeat is the same.

        Raises:
            Refused: `unknown-client`.
        """
        client = self._store.revoke(client_id)
        if client is None:
            raise Refused(Problem.UNKNOWN_CLIENT, f"no client {client_id!r}", expected="an enrolled client id", got=client_id)
        return wire.ClientReply(
            client_id=client.client_id,
            state=client.state.value,
            device_type=client.device_type,
            sdk_version=client.sdk_version,
            enrolled_at=client.enrolled_at,
            last_seen_at=client.last_seen_at,
        )


def _holds(client: Client, credential: Credential) -> bool:
    return credentials.same(client.key_hash, credential) and client.state is ClientState.ACTIVE
