"""The operators' use cases of versions: find one, list them, register one from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TypeVar

from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.registry.aliases import CHALLENGER, CHAMPION, NEWEST, challenger, with_states
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.checkpoints import Checkpoints
from chalicelib.registry.deployment import VersionState, states
from chalicelib.registry.retained import RetentionStore
from chalicelib.registry.schemas import Schemas
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.urls import downloadable
from chalicelib.registry.version import Version
from chalicelib.storage import keys
from chalicelib.storage.presign import Presigner
from chalicelib.storage.rows import Unreadable, storable
from muster.wire import admin
from muster.wire.problems import Problem
from muster.wire.refs import canonical_json, digest

PAGE = 50
EXAMINED = 500
"""Versions that one page of a filtered list looks at."""

TRIES = 8
"""How often a version's number is chosen again when somebody else took it."""

_NUMBER = re.compile(r"[0-9]{1,8}")

Row = TypeVar("Row")

InTraining = Callable[[str], int | None]
"""The version of a model whose round has not decided yet, or None. Rounds know; the registry only asks."""


class Versions:
    """Versions, as operators handle them. What they are called (state, alias) is worked out, never stored."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        store: RegistryStore,
        retained: RetentionStore,
        checkpoints: Checkpoints,
        schemas: Schemas,
        presigner: Presigner,
        clock: Clock,
        in_training: InTraining,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._retained = retained
        self._checkpoints = checkpoints
        self._schemas = schemas
        self._presigner = presigner
        self._clock = clock
        self._in_training = in_training

    def page(self, model: str, query: admin.VersionPage) -> admin.VersionList:
        """A page of a model's versions, newest first, of a bounded number that were looked at.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        found: list[admin.VersionReply] = []
        examined = 0
        for chunk in _chunks(self._store.page_of_versions(model, query.before, EXAMINED), PAGE):
            replies = self._replies(model, [row for row in chunk if isinstance(row, Version)])
            for row in chunk:
                examined += 1
                if isinstance(row, Unreadable):
                    row.tell()
                elif query.state in (None, (reply := next(replies)).state):
                    found.append(reply)
                if row.number > 0 and (len(found) == PAGE or examined == EXAMINED):
                    return admin.VersionList(versions=found, before=row.number)
        return admin.VersionList(versions=found, before=None)

    def show(self, model: str, ref: str) -> admin.VersionReply:
        """One version.

        Raises:
            Refusal: `unknown-model`, `unknown-version`.
        """
        (reply,) = self._replies(model, [self.find(model, ref)])
        return reply

    def find(self, model: str, ref: str) -> Version:
        """The version that a reference names: a number, an id, an alias, `newest`, or a state (the newest in it).

        Raises:
            Refusal: `unknown-model`, `unknown-version`.
        """
        self._catalogue.model(model)
        version: Version | None = None
        number = ref.removeprefix(f"{model}.v")
        if _NUMBER.fullmatch(number):
            version = self._store.version(model, int(number))
        elif ref == NEWEST:
            version = self._store.newest(model)
        elif ref in (CHAMPION, VersionState.DEPLOYED):
            version = self._store.version(model, self._store.present(model).stable.version)
        elif ref == CHALLENGER:
            version = challenger(self._store, self._store.present(model), self._in_training(model))
        elif ref in set(VersionState):
            found = with_states(self._store, model, self._in_training(model))
            version = next((v for v, state in found if state == ref and v.deleted_at is None), None)
        if version is None:
            raise self._unknown(model, ref)
        return version

    def kept(self, model: str, ref: str) -> Version:
        """The version that a reference names, if it was not deleted.

        Raises:
            Refusal: `unknown-model`, `unknown-version`, `version-deleted`.
        """
        version = self.find(model, ref)
        if version.deleted_at is not None:
            raise version_deleted(version)
        return version

    def servable(self, model: str, ref: str) -> Version:
        """The version that a reference names, if clients may be given it.

        Raises:
            Refusal: `unknown-model`, `unknown-version`, `version-deleted`, `version-in-training`.
        """
        version = self.kept(model, ref)
        if self.state(version) is VersionState.TRAINING:
            raise Refusal(
                Problem.VERSION_IN_TRAINING,
                f"version {version.number} of {model} is being evaluated; its round will decide",
                expected="a version whose round has ended: wait, or abandon the round",
                got=f"round {model}.{version.round}, evaluating",
            )
        return version

    def pin(self, model: str, ref: str, pin: admin.PinVersion) -> admin.VersionReply:
        """Keep a version whatever else happens, or no longer; what is so already stays so. One that expires is kept again.

        Raises:
            Refusal: `unknown-model`, `unknown-version`, `version-deleted`.
        """
        version = self.kept(model, ref)
        write = self._retained.pin if pin.pinned else self._retained.unpin
        if not write(model, version.number):
            raise version_deleted(self._store.known(model, version.number))
        log.info("pinned" if pin.pinned else "unpinned", extra={"model": model, "version": version.number})
        return self.show(model, str(version.number))

    def state(self, version: Version) -> VersionState:
        """Where a version stands."""
        return self._states(version.model, [version])[version.number]

    def register(self, name: str, request: admin.RegisterVersion) -> admin.VersionReply:
        """Make an uploaded checkpoint the model's next version, staged; the same again is the same version, and is kept again
        if it expires. One that was deleted becomes a new version, for which the checkpoint is to be there again.

        Raises:
            Refusal: `unknown-model`, `upload-missing`, `checkpoint-unfit`, `version-exists` (with other metrics or note).
        """
        model = self._catalogue.model(name)
        sha256, metrics = request.checkpoint.sha256, storable(request.metrics)
        for _ in range(TRIES):
            known = self._store.registered(name, sha256)
            same = None if known is None else self._same(self._store.known(name, known), request)
            if same is not None:
                return same
            present, newest, seen = self._store.present(name), self._store.newest_number(name), self._store.sweep()
            number = newest + 1
            ref = self._checkpoints.inspected(
                request.checkpoint, number, model.config.encoding, self._schemas.of(present.stable)
            )
            now = self._clock()
            document = canonical_json(
                {
                    "model": name,
                    "version": number,
                    "created": text(now),
                    "parent": present.stable.version,
                    "checkpoint": {"sha256": ref.sha256, "bytes": ref.nbytes},
                    "config": model.config.model_dump(mode="json"),
                    "metrics": metrics,
                    "note": request.note,
                }
            )
            version = Version(
                model=name,
                number=number,
                checkpoint=ref,
                document_sha256=digest(document),
                created_at=now,
                config=model.config,
                revision=present.revision,
                parent=present.stable.version,
                metrics=metrics,
                note=request.note,
            )
            self._checkpoints.store_document(document)
            if self._store.register(version, seen, self._clock(), instead_of=known):
                (reply,) = self._replies(name, [version])
                return reply
        raise RuntimeError(f"somebody else took the next version number of {name}, or the bucket was swept, {TRIES} times")

    def _same(self, version: Version, request: admin.RegisterVersion) -> admin.VersionReply | None:
        """The version that was made of the same checkpoint, kept again if it expires; None when it was deleted."""
        model, number = version.model, version.number
        if version.deleted_at is not None:
            return None
        reply = self.show(model, str(number))
        if (reply.metrics, reply.note) != (storable(request.metrics), request.note):
            raise Refusal(
                Problem.VERSION_EXISTS,
                f"this checkpoint is version {number} of {model}, registered with other metrics or another note",
                expected=_words(reply.metrics, reply.note),
                got=_words(request.metrics, request.note),
            )
        if version.expires_at is None:
            return reply
        return self.show(model, str(number)) if self._retained.unmark(model, number) else None

    def _replies(self, model: str, versions: Sequence[Version]) -> Iterator[admin.VersionReply]:
        if not versions:
            return
        found = self._states(model, versions)
        hopeful = challenger(self._store, self._store.present(model), self._in_training(model))
        for version in versions:
            state = found[version.number]
            aliases = [CHAMPION] if state is VersionState.DEPLOYED else []
            aliases += [CHALLENGER] if hopeful and hopeful.number == version.number else []
            document_url = self._presigner.get(keys.DOCUMENT.key(sha256=version.document_sha256))
            yield admin.VersionReply.model_validate(
                {
                    "id": version.id,
                    "version": version.number,
                    "round": version.round,
                    "base": version.base,
                    "parent": version.parent,
                    "state": state.value,
                    "aliases": aliases,
                    "created_at": version.created_at,
                    "manifest_sha256": version.manifest_sha256,
                    "document_sha256": version.document_sha256,
                    "document_url": document_url,
                    "config": version.config,
                    "metrics": version.metrics,
                    "evaluation": version.evaluation,
                    "judged": asdict(version.judged) if version.judged else None,
                    "note": version.note,
                    "expires_at": version.expires_at,
                    "deleted_at": version.deleted_at,
                    "pinned": version.pinned,
                    "traces": list(version.traces),
                    "checkpoint": downloadable(version.checkpoint, self._presigner),
                }
            )

    def _states(self, model: str, versions: Sequence[Version]) -> dict[int, VersionState]:
        """The states of some versions: the log is read back to where the oldest of them was made, and no further."""
        log = self._store.deployments(model, after=min(version.revision for version in versions))
        return states((version.number for version in versions), log, self._in_training(model))

    def _unknown(self, model: str, ref: str) -> Refusal:
        last = self._store.newest_number(model)
        if ref in (CHALLENGER, *VersionState):
            expected = f"no version of {model} is {ref} now; 0 to {last} exist"
        elif _NUMBER.fullmatch(ref.removeprefix(f"{model}.v")):
            expected = f"0 to {last}"
        else:
            names = [CHAMPION, CHALLENGER, NEWEST, *VersionState, f"{model}.v{last}"]
            expected = f"{near(ref[:64], names)}, or a number from 0 to {last}"
        return Refusal(Problem.UNKNOWN_VERSION, f"model {model!r} has no version {ref[:64]!r}", expected=expected, got=ref[:64])


def version_deleted(version: Version, expected: str | None = None) -> Refusal:
    """A version cannot be served, pinned or read of which only the row is left; and what could be asked for instead."""
    at = text(version.deleted_at) if version.deleted_at else "some time"
    return Refusal(
        Problem.VERSION_DELETED,
        f"version {version.number} of {version.model} was deleted at {at}, and its checkpoint with it",
        expected=expected or f"a version that is kept: `muster model retention {version.model}` lists them",
        got=version.id,
    )


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _words(metrics: Mapping[str, float], note: str | None) -> str:
    """What an operator said of a version, for a person."""
    return f"metrics {json.dumps(dict(metrics))} and {'no note' if note is None else f'the note {json.dumps(note)}'}"
