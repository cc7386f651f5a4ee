"""Rows of models, versions and deployments.

A row that cannot be read is passed over in a list, and named in the log; who asks for it alone is told (`Unreadable`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime

from chalicelib.instants import text
from chalicelib.registry.configuration import Configuration
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, OverBudget, TrainingState
from chalicelib.registry.signing import Signer, signed
from chalicelib.registry.sweep import Names, Sweep
from chalicelib.registry.version import Judged, Registration, Version
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, to_item, unreadable
from muster.layout import Key

NAMES = ("pk", "sk", *(one.name for one in fields(Names)))
"""Attributes that are read of a version's row when it is asked what it names."""

_THERE = "attribute_exists(#pk) AND attribute_not_exists(#deleted_at)"
_SERVABLE = Condition(_THERE, "the version was not deleted")

EXAMINED = 50
"""Versions, and deployments, of a model that are looked at for such as cannot be read."""


class Swept(Exception):
    """The bucket was swept while a version was being made: whether its objects are there must be looked at again."""


class VersionGone(Exception):
    """A version was to be served that was deleted."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version} was deleted")
        self.version = version


class Incomplete(Exception):
    """A row is missing that is written together with one that is there: somebody has deleted it."""


class RegistryStore:
    """The `versions` table. `signer` signs every revision that is written; None where the stack has no key."""

    def __init__(self, table: Table, signer: Signer | None) -> None:
        self._table = table
        self._signer = signer

    # ---- models

    def model(self, name: str) -> Model | None:
        """A model, or None."""
        item = self._table.get(keys.MODEL.key(model=name))
        return from_item(Model, item) if item else None

    def models(self) -> Iterator[Model]:
        """All models, by name."""
        return readable(Model, self._table.query(keys.MODEL.partition(), keys.MODEL.prefix))

    def entries(self) -> dict[str, Model | Unreadable]:
        """All models by name; also those whose rows cannot be read."""
        items = list(self._table.query(keys.MODEL.partition(), keys.MODEL.prefix))
        return {keys.MODEL.name_in(item["sk"]): row for item, row in zip(items, each(Model, items), strict=True)}

    def entry(self, name: str) -> Model | Unreadable | None:
        """A model, what says that it cannot be read, or None."""
        item = self._table.get(keys.MODEL.key(model=name))
        return next(each(Model, [item] if item else []), None)

    def names(self) -> list[str]:
        """The names of all models, also of one whose row cannot be read."""
        return [keys.MODEL.name_in(item["sk"]) for item in self._table.query(keys.MODEL.partition(), keys.MODEL.prefix)]

    def unreadable(self, model: str) -> int:
        """How many rows of a model cannot be read: its own, and of its last versions and deployments."""
        own = self._table.get(keys.MODEL.key(model=model))
        found = unreadable(Model, [own] if own else [])
        for kind, row in ((keys.VERSION, Version), (keys.DEPLOYMENT, Deployment)):
            items = self._table.query(kind.partition(model=model), kind.prefix, newest_first=True, limit=EXAMINED)
            found += unreadable(row, items)
        return found

    def create(
        self, model: Model, configured: Configuration, version: Version, deployment: Deployment, seen: Sweep, now: datetime
    ) -> Model | None:
        """Store a model, its first configuration, its version 0 and its first deployment, all or none.

        When the name is taken nothing changes, and the model that has it is returned.

        Raises:
            Swept: the bucket was swept since `seen` was read; the checkpoint may be gone.
        """
        try:
            self._table.transact(
                [
                    Put(table=self._table, key=keys.MODEL.key(model=model.name), item=to_item(model), condition=NEW),
                    self._put_configuration(configured),
                    self.put_version(version),
                    self._put_registration(version),
                    self.put_deployment(deployment, version),
                    self.unless_swept(seen, now),
                ]
            )
        except ConditionFailed as lost:
            holder = self.model(model.name)
            if holder is None:
                raise Swept from lost
            return holder
        return None

    def set_training(self, name: str, state: TrainingState, rounds_wanted: int) -> Model | None:
        """Start or stop a model's training, and return the model, or None when there is none. A repeat is the same."""
        condition = Condition("attribute_exists(#pk)", "the model exists")
        change = {"training": state, "rounds_wanted": rounds_wanted}
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=keys.MODEL.key(model=name), condition=condition, set=change)
            )
        except ConditionFailed:
            return None
        return from_item(Model, item)

    def note_budget(self, model: Model, found: OverBudget | None) -> bool:
        """Note that a model is over its budget, or no more; False when it was configured anew since it was read, or is gone."""
        condition = _configured(model.config_revision, "the model is configured as it was")
        change: Item = {} if found is None else {"over_budget": to_item(found)}
        gone = ("over_budget",) if found is None else ()
        update = Update(table=self._table, key=keys.MODEL.key(model=model.name), condition=condition, set=change, remove=gone)
        try:
            self._table.update(update)
        except ConditionFailed:
            return False
        return True

    # ---- configurations

    def configure(self, made: Configuration) -> bool:
        """Make a revision the present configuration; False when the present one is not the one before it (any more)."""
        condition = _configured(made.revision - 1, "the model has the revision before")
        change = {"config": to_item(made)["config"], "config_revision": made.revision}
        try:
            self._table.transact(
                [
                    Update(table=self._table, key=keys.MODEL.key(model=made.model), condition=condition, set=change),
                    self._put_configuration(made),
                ]
            )
        except ConditionFailed:
            return False
        return True

    def configuration(self, model: str, revision: int) -> Configuration | None:
        """One revision of a model's configuration, or None."""
        item = self._table.get(keys.CONFIGURATION.key(model=model, revision=revision))
        return from_item(Configuration, item) if item else None

    def page_of_configurations(self, model: str, before: int | None, limit: int) -> Iterator[Configuration | Unreadable]:
        """The model's configurations, newest first, those below `before`, up to `limit`; also those that cannot be read."""
        below = None if before is None else keys.CONFIGURATION.key(model=model, revision=before - 1)["sk"]
        partition = keys.CONFIGURATION.partition(model=model)
        items = self._table.query(partition, keys.CONFIGURATION.prefix, newest_first=True, below=below, limit=limit)
        return each(Configuration, items)

    def _put_configuration(self, made: Configuration) -> Put:
        key = keys.CONFIGURATION.key(model=made.model, revision=made.revision)
        return Put(table=self._table, key=key, item=to_item(made), condition=NEW)

    # ---- versions

    def version(self, model: str, number: int) -> Version | None:
        """A version, or None."""
        item = self._table.get(keys.VERSION.key(model=model, version=number))
        return from_item(Version, item) if item else None

    def known(self, model: str, number: int) -> Version:
        """A version that something names.

        Raises:
            Incomplete: it is not there.
        """
        found = self.version(model, number)
        if found is None:
            raise Incomplete(f"version {number} of model {model} is named and not there")
        return found

    def versions(
        self, model: str, before: int | None = None, *, after: int = -1, limit: int | None = None
    ) -> Iterator[Version]:
        """A model's versions, newest first, those below `before` and above `after`."""
        return readable(Version, self._versions(model, before, after, limit))

    def page_of_versions(self, model: str, before: int | None, limit: int) -> Iterator[Version | Unreadable]:
        """A model's versions, newest first, those below `before`, up to `limit`; also those that cannot be read."""
        return each(Version, self._versions(model, before, -1, limit))

    def _versions(self, model: str, before: int | None, after: int, limit: int | None) -> Iterator[Item]:
        below = None if before is None else keys.VERSION.key(model=model, version=before - 1)["sk"]
        above = keys.VERSION.key(model=model, version=after + 1)["sk"]
        partition = keys.VERSION.partition(model=model)
        return self._table.query(partition, keys.VERSION.prefix, newest_first=True, above=above, below=below, limit=limit)

    def newest(self, model: str) -> Version | None:
        """A model's newest version, or None when there is no such model.

        Raises:
            Unreadable: there is one, and it cannot be read.
        """
        item = next(self._versions(model, None, -1, 1), None)
        return from_item(Version, item) if item else None

    def newest_number(self, model: str) -> int:
        """The number of the newest version of a model that exists, from its key: the next one has the next, whatever is in its
        row.

        Raises:
            Incomplete: it has no version, which is written in one transaction with it.
        """
        item = next(self._versions(model, None, -1, 1), None)
        if item is None:
            raise Incomplete(f"model {model} has no version")
        return int(keys.VERSION.name_in(item["sk"]))

    def put_version(self, version: Version) -> Put:
        """The write that adds a version, for a transaction."""
        return Put(
            table=self._table,
            key=keys.VERSION.key(model=version.model, version=version.number),
            item=to_item(version),
            condition=NEW,
        )

    def registered(self, model: str, sha256: str) -> int | None:
        """The version that an operator made of a checkpoint, or None."""
        item = self._table.get(keys.REGISTRATION.key(model=model, sha256=sha256))
        return from_item(Registration, item).version if item else None

    def register(self, version: Version, seen: Sweep, now: datetime, instead_of: int | None = None) -> bool:
        """Store an operator's version and its registration, both or neither; False when the number is taken, the checkpoint
        is registered as another version than `instead_of`, or the bucket was swept since `seen` was read.
        """
        registration = self._put_registration(version, instead_of)
        try:
            self._table.transact([self.put_version(version), registration, self.unless_swept(seen, now)])
        except ConditionFailed:
            return False
        return True

    def _put_registration(self, version: Version, instead_of: int | None = None) -> Put:
        key = keys.REGISTRATION.key(model=version.model, sha256=version.checkpoint.sha256)
        condition = NEW
        if instead_of is not None:
            condition = Condition("#version = :was", "it is registered as the version that was deleted", {":was": instead_of})
        return Put(table=self._table, key=key, item=to_item(Registration(version.number)), condition=condition)

    def put_evaluation(self, model: str, number: int, evaluation: dict[str, float], judged: Judged) -> Update:
        """The write that adds, once, what a version's judges measured, for a transaction, in which it may be deployed too."""
        condition = Condition(f"{_THERE} AND attribute_not_exists(#evaluation)", "it is there, and was not yet judged")
        change = {"evaluation": evaluation, "judged": to_item(judged)}
        return replace(self.serve(model, number), condition=condition, set=change)

    def serve(self, model: str, number: int) -> Update:
        """The write that lets a transaction come to serve a version only if that was not deleted, and takes away the mark by
        which it would be.
        """
        key = keys.VERSION.key(model=model, version=number)
        return Update(table=self._table, key=key, condition=_SERVABLE, remove=("expires_at",))

    # ---- the sweep

    def sweep(self) -> Sweep:
        """The sweep's row, or an empty one."""
        return from_item(Sweep, self._table.get(keys.SWEEP.key()) or {})

    def begin_sweep(self, last: Sweep, now: datetime) -> Sweep | None:
        """Begin a sweep where the last one came to; None when somebody else began one since `last` was read."""
        as_read = "#begun_at = :was_begun_at" if last.begun_at else "attribute_not_exists(#begun_at)"
        condition = Condition(
            as_read, "nobody has begun since", {":was_begun_at": text(last.begun_at)} if last.begun_at else {}
        )
        done = self._set_sweep(condition, {"begun_at": text(now)})
        return replace(last, begun_at=now) if done else None

    def note_swept(self, mine: Sweep, after: str | None) -> bool:
        """Note how far a sweep came; False when another one has begun since."""
        return self._set_sweep(_is_mine(mine), {"after": after})

    def hold(self, mine: Sweep, until: datetime) -> bool:
        """Keep versions from being born, or, with the present instant, no more; False when another sweep has begun since."""
        return self._set_sweep(_is_mine(mine), {"held_until": text(until)})

    def unless_swept(self, seen: Sweep, now: datetime) -> Update:
        """The write that lets a transaction add a version only if nothing was swept since `seen` was read, before its objects
        were looked for. It changes nothing.
        """
        if seen.held_until is None:
            condition = Condition("attribute_not_exists(#held_until)", "nothing was ever swept")
        else:
            condition = Condition(
                "#held_until = :was_held_until AND #held_until <= :now",
                "nothing was swept since the version's objects were looked for",
                {":was_held_until": text(seen.held_until), ":now": text(now)},
            )
        return Update(table=self._table, key=keys.SWEEP.key(), condition=condition)

    def named(self, model: str, after: int = -1) -> Iterator[Names]:
        """What a model's versions above `after` name, newest first.

        Raises:
            Unreadable: a version cannot be read, so what it names is not known.
        """
        above = keys.VERSION.key(model=model, version=after + 1)["sk"]
        partition, prefix = keys.VERSION.partition(model=model), keys.VERSION.prefix
        items = self._table.query(partition, prefix, newest_first=True, above=above, attributes=NAMES)
        return (from_item(Names, item) for item in items)

    def page_of_names(self, model: str, before: int | None, limit: int) -> list[Names | Unreadable]:
        """What a model's versions name, newest first, those below `before`, up to `limit`; also those that cannot be read."""
        below = None if before is None else keys.VERSION.key(model=model, version=before - 1)["sk"]
        partition, prefix = keys.VERSION.partition(model=model), keys.VERSION.prefix
        return list(
            each(Names, self._table.query(partition, prefix, newest_first=True, below=below, limit=limit, attributes=NAMES))
        )

    def let_go(self, model: str, number: int) -> None:
        """Let a version name neither an optimizer's state nor deltas any more; its document still says what it had."""
        condition = Condition("attribute_exists(#pk)", "the version exists")
        change: Item = {"optimizer": None, "checkpoint.deltas": []}
        self._table.update(
            Update(table=self._table, key=keys.VERSION.key(model=model, version=number), condition=condition, set=change)
        )

    def is_being_restored(self) -> bool:
        """Whether a backup is being restored here, so that models may be missing whose versions are there."""
        mark = self._table.get(keys.RESTORE.key())
        return mark is not None and "finished_at" not in mark

    def _set_sweep(self, condition: Condition, change: Item) -> bool:
        try:
            self._table.update(Update(table=self._table, key=keys.SWEEP.key(), condition=condition, set=change))
        except ConditionFailed:
            return False
        return True

    # ---- deployments

    def deployment(self, model: str) -> Deployment | None:
        """What the model's clients are served now, or None when there is no such model."""
        item = self._table.last(keys.DEPLOYMENT.partition(model=model), keys.DEPLOYMENT.prefix)
        return from_item(Deployment, item) if item else None

    def place_of_deployment(self, model: str, revision: int) -> tuple[Table, Key]:
        """Where a revision's row lies, for who reads rows of several tables at once."""
        return self._table, keys.DEPLOYMENT.key(model=model, revision=revision)

    def present(self, model: str) -> Deployment:
        """What the clients of a model that exists are served now.

        Raises:
            Incomplete: it has no deployment, which is written in one transaction with it.
        """
        found = self.deployment(model)
        if found is None:
            raise Incomplete(f"model {model} has no deployment")
        return found

    def revision(self, model: str, revision: int) -> Deployment | None:
        """One revision of the log, or None."""
        item = self._table.get(keys.DEPLOYMENT.key(model=model, revision=revision))
        return from_item(Deployment, item) if item else None

    def deployments(
        self, model: str, before: int | None = None, *, after: int = 0, limit: int | None = None
    ) -> Iterator[Deployment]:
        """The model's deployment log, newest first, those below `before` and above `after`."""
        return readable(Deployment, self._deployments(model, before, after, limit))

    def since(self, present: Deployment, revision: int) -> Iterator[Deployment]:
        """The revisions of a model's log after one of them, newest first; read when they are asked for, and the present one,
        which is known, not again.
        """
        if present.revision > revision:
            yield present
        if present.revision > revision + 1:
            yield from self.deployments(present.model, present.revision, after=revision)

    def page_of_deployments(self, model: str, before: int | None, limit: int) -> Iterator[Deployment | Unreadable]:
        """The model's deployment log, newest first, those below `before`, up to `limit`; also those that cannot be read."""
        return each(Deployment, self._deployments(model, before, 0, limit))

    def _deployments(self, model: str, before: int | None, after: int, limit: int | None) -> Iterator[Item]:
        below = None if before is None else keys.DEPLOYMENT.key(model=model, revision=before - 1)["sk"]
        above = keys.DEPLOYMENT.key(model=model, revision=after + 1)["sk"]
        partition = keys.DEPLOYMENT.partition(model=model)
        return self._table.query(partition, keys.DEPLOYMENT.prefix, newest_first=True, above=above, below=below, limit=limit)

    def is_signed(self, deployment: Deployment) -> bool:
        """Whether a revision bears a signature of the key that the stack has now, or the stack has none."""
        if self._signer is None:
            return True
        return deployment.signed is not None and deployment.signed.key == self._signer.key

    def deploy(self, deployment: Deployment) -> Deployment:
        """Sign a revision and write it if nobody has, and return the revision of that number: this one, or the one that was
        there.

        Where it brings versions that the one before may not have had, their marks are taken away with it, all or nothing.

        Raises:
            Refusal: `signing-failed`.
            OtherBytes: the log and a version's row do not agree.
            VersionGone: one of the versions that it brings was deleted.
            Incomplete: one of those is not there.
        """
        deployment = self._signed(deployment, None)
        write = self._put_deployment(deployment)
        served = [self.serve(deployment.model, number) for number in sorted(deployment.brings)]
        try:
            if served:
                self._table.transact([write, *served])
            else:
                self._table.put(write)
        except ConditionFailed as lost:
            if lost.condition is _SERVABLE:
                if lost.found is None:
                    raise Incomplete(f"a version is not there that revision {deployment.revision} serves") from lost
                raise VersionGone(int(lost.found["number"])) from lost
            if lost.found:
                return from_item(Deployment, lost.found)
            raise
        return deployment

    def put_deployment(self, deployment: Deployment, newborn: Version | None = None) -> Put:
        """Sign a revision: the write that makes it, if nobody has made it, for a transaction. `newborn` is a version whose row
        the same transaction writes.

        Raises:
            Refusal: `signing-failed`.
            OtherBytes: the log and a version's row do not agree.
        """
        return self._put_deployment(self._signed(deployment, newborn))

    def _signed(self, deployment: Deployment, newborn: Version | None) -> Deployment:
        if self._signer is None:
            return deployment
        known = {newborn.number: newborn} if newborn else {}
        return signed(deployment, lambda number: known.get(number) or self.known(deployment.model, number), self._signer)

    def _put_deployment(self, deployment: Deployment) -> Put:
        key = keys.DEPLOYMENT.key(model=deployment.model, revision=deployment.revision)
        return Put(table=self._table, key=key, item=to_item(deployment), condition=NEW)


def _configured(revision: int, because: str) -> Condition:
    """That the model's configuration is of this revision; one that is older than the history has the first."""
    unnumbered = "attribute_exists(#pk) AND attribute_not_exists(#config_revision)"
    words = "#config_revision = :seen" if revision > 1 else f"(#config_revision = :seen OR ({unnumbered}))"
    return Condition(words, because, {":seen": revision})


def _is_mine(mine: Sweep) -> Condition:
    begun_at = text(mine.begun_at) if mine.begun_at else "never"
    return Condition("#begun_at = :begun_at", "no other sweep has begun since", {":begun_at": begun_at})
