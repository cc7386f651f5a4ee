"""Rows of models, versions and deployments.

A row that cannot be read is passed over in a list, and named in the log; who asks for it alone is told (`Unreadable`).
"""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.registry.version import Registration, Version
from chalicelib.storage import keys
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, to_item, unreadable

EXAMINED = 50
"""Versions, and deployments, of a model that are looked at for such as cannot be read."""


class RegistryStore:
    """The `versions` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # ---- models

    def model(self, name: str) -> Model | None:
        """A model, or None."""
        item = self._table.get(keys.MODEL.key(model=name))
        return from_item(Model, item) if item else None

    def models(self) -> Iterator[Model]:
        """All models, by name."""
        return readable(Model, self._table.query(keys.MODEL.partition(), keys.MODEL.prefix))

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

    def create(self, model: Model, version: Version, deployment: Deployment) -> Model | None:
        """Store a model, its version 0 and its first deployment, all or none.

        When the name is taken nothing changes, and the model that has it is returned.
        """
        try:
            self._table.transact(
                [
                    Put(self._table, keys.MODEL.key(model=model.name), to_item(model), NEW),
                    self.put_version(version),
                    self._put_registration(version),
                    self.put_deployment(deployment),
                ]
            )
        except ConditionFailed:
            return self.model(model.name)
        return None

    def set_training(self, name: str, state: TrainingState, rounds_wanted: int) -> Model | None:
        """Start or stop a model's training, and return the model, or None when there is none. A repeat is the same."""
        condition = Condition("attribute_exists(#pk)", "the model exists")
        change = {"training": state, "rounds_wanted": rounds_wanted}
        try:
            item = self._table.update_and_read(Update(self._table, keys.MODEL.key(model=name), condition, set=change))
        except ConditionFailed:
            return None
        return from_item(Model, item)

    # ---- versions

    def version(self, model: str, number: int) -> Version | None:
        """A version, or None."""
        item = self._table.get(keys.VERSION.key(model=model, version=number))
        return from_item(Version, item) if item else None

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

    def newest_number(self, model: str) -> int | None:
        """The number of a model's newest version, from its key: the next one has the next, whatever is in its row."""
        item = next(self._versions(model, None, -1, 1), None)
        return int(keys.VERSION.name_in(item["sk"])) if item else None

    def put_version(self, version: Version) -> Put:
        """The write that adds a version, for a transaction."""
        return Put(self._table, keys.VERSION.key(model=version.model, version=version.number), to_item(version), NEW)

    def registered(self, model: str, sha256: str) -> int | None:
        """The version that an operator made of a checkpoint, or None."""
        item = self._table.get(keys.REGISTRATION.key(model=model, sha256=sha256))
        return from_item(Registration, item).version if item else None

    def register(self, version: Version) -> bool:
        """Store an operator's version and its registration, both or neither; False when the number is taken, or the
        checkpoint was registered before.
        """
        try:
            self._table.transact([self.put_version(version), self._put_registration(version)])
        except ConditionFailed:
            return False
        return True

    def _put_registration(self, version: Version) -> Put:
        key = keys.REGISTRATION.key(model=version.model, sha256=version.checkpoint.sha256)
        return Put(self._table, key, to_item(Registration(version.number)), NEW)

    def put_evaluation(self, model: str, number: int, evaluation: dict[str, float]) -> Update:
        """The write that adds, once, what a version's judges measured, for a transaction."""
        condition = Condition("attribute_exists(#pk) AND attribute_not_exists(#evaluation)", "it was not yet judged")
        return Update(self._table, keys.VERSION.key(model=model, version=number), condition, set={"evaluation": evaluation})

    # ---- deployments

    def deployment(self, model: str) -> Deployment | None:
        """What the model's clients are served now, or None when there is no such model."""
        item = self._table.last(keys.DEPLOYMENT.partition(model=model), keys.DEPLOYMENT.prefix)
        return from_item(Deployment, item) if item else None

    def revision(self, model: str, revision: int) -> Deployment | None:
        """One revision of the log, or None."""
        item = self._table.get(keys.DEPLOYMENT.key(model=model, revision=revision))
        return from_item(Deployment, item) if item else None

    def deployments(
        self, model: str, before: int | None = None, *, after: int = 0, limit: int | None = None
    ) -> Iterator[Deployment]:
        """The model's deployment log, newest first, those below `before` and above `after`."""
        return readable(Deployment, self._deployments(model, before, after, limit))

    def page_of_deployments(self, model: str, before: int | None, limit: int) -> Iterator[Deployment | Unreadable]:
        """The model's deployment log, newest first, those below `before`, up to `limit`; also those that cannot be read."""
        return each(Deployment, self._deployments(model, before, 0, limit))

    def _deployments(self, model: str, before: int | None, after: int, limit: int | None) -> Iterator[Item]:
        below = None if before is None else keys.DEPLOYMENT.key(model=model, revision=before - 1)["sk"]
        above = keys.DEPLOYMENT.key(model=model, revision=after + 1)["sk"]
        partition = keys.DEPLOYMENT.partition(model=model)
        return self._table.query(partition, keys.DEPLOYMENT.prefix, newest_first=True, above=above, below=below, limit=limit)

    def deploy(self, deployment: Deployment) -> Deployment:
        """Write a revision if nobody has, and return the revision of that number: this one, or the one that was there."""
        write = self.put_deployment(deployment)
        try:
            self._table.put(write)
        except ConditionFailed as lost:
            if lost.found:
                return from_item(Deployment, lost.found)
            raise
        return deployment

    def put_deployment(self, deployment: Deployment) -> Put:
        """The write that makes a revision, if nobody has made it, for a transaction."""
        key = keys.DEPLOYMENT.key(model=deployment.model, revision=deployment.revision)
        return Put(self._table, key, to_item(deployment), NEW)
