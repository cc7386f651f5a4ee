"""The writes by which versions expire, are kept again, and are deleted; and the row that says what they take.

Every method is one write, or one transaction, with one condition on the version's row; a repeat finds the condition failed, and
nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from chalicelib.instants import text
from chalicelib.registry.retention import Storage
from chalicelib.registry.sweep import Names
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import readable_one, to_item

THERE = "attribute_exists(#pk) AND attribute_not_exists(#deleted_at)"
"""The version exists, and was not deleted."""


class RetentionStore:
    """The rows of the `versions` table, as far as they are kept or not."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def mark(self, model: str, number: int, expires_at: datetime) -> bool:
        """Say when a version is to be deleted; False when it is marked or pinned already, or was deleted."""
        free = "attribute_not_exists(#expires_at) AND (attribute_not_exists(#pinned) OR #pinned = :no)"
        condition = Condition(f"{THERE} AND {free}", "the version is there, neither marked nor pinned", {":no": False})
        return self._change(model, number, condition, {"expires_at": text(expires_at)})

    def unmark(self, model: str, number: int) -> bool:
        """Let a version be kept again; False when it was deleted. One that is not marked stays as it is."""
        return self._change(model, number, Condition(THERE, "the version was not deleted"), remove=("expires_at",))

    def pin(self, model: str, number: int) -> bool:
        """Keep a version whatever else happens; False when it was deleted."""
        condition = Condition(THERE, "the version was not deleted")
        return self._change(model, number, condition, {"pinned": True}, remove=("expires_at",))

    def unpin(self, model: str, number: int) -> bool:
        """Keep a version only as long as anything else does; False when it was deleted."""
        return self._change(model, number, Condition(THERE, "the version was not deleted"), remove=("pinned",))

    def delete(self, model: str, version: Names, config_revision: int, now: datetime) -> bool:
        """Let a version name no object any more. False when its mark is no longer the one that was seen (something came to
        keep it, or it was deleted before), or the model was configured since.
        """
        marked = text(version.expires_at) if version.expires_at else "never"
        as_seen = Condition(f"{THERE} AND #expires_at = :mark", "the version has the mark that was seen", {":mark": marked})
        key = keys.VERSION.key(model=model, version=version.number)
        gone = {"deleted_at": text(now), "checkpoint.deltas": []}
        tombstone = Update(table=self._table, key=key, condition=as_seen, set=gone, remove=("expires_at", "optimizer"))
        try:
            self._table.transact([tombstone, self._unless_configured(model, config_revision)])
        except ConditionFailed:
            return False
        return True

    def _unless_configured(self, model: str, revision: int) -> Update:
        """The write that lets a deletion happen only by the configuration that was read. It changes nothing."""
        words = "#config_revision = :seen" + (" OR attribute_not_exists(#config_revision)" if revision == 1 else "")
        condition = Condition(f"attribute_exists(#pk) AND ({words})", "the model was not configured since", {":seen": revision})
        return Update(table=self._table, key=keys.MODEL.key(model=model), condition=condition)

    def _change(
        self,
        model: str,
        number: int,
        condition: Condition,
        change: dict[str, object] | None = None,
        remove: tuple[str, ...] = (),
    ) -> bool:
        key = keys.VERSION.key(model=model, version=number)
        try:
            self._table.update(Update(table=self._table, key=key, condition=condition, set=change or {}, remove=remove))
        except ConditionFailed:
            return False
        return True

    # ---- what versions take

    def storage(self, model: str) -> Storage | None:
        """What a model's versions take, as last counted, or None when that was not counted yet, or cannot be read."""
        return readable_one(Storage, self._table.get(keys.STORAGE.key(model=model)))

    def storages(self, models: Iterable[str]) -> dict[str, Storage]:
        """The same of several models, by name: one request for a hundred."""
        places = {model: keys.STORAGE.key(model=model) for model in models}
        found = self._table.get_all(places.values())
        read = {model: readable_one(Storage, found.get((key["pk"], key["sk"]))) for model, key in places.items()}
        return {model: counted for model, counted in read.items() if counted is not None}

    def put_storage(self, model: str, counted: Storage) -> bool:
        """Store a count; False when there is a newer one."""
        condition = Condition(
            "attribute_not_exists(#pk) OR #counted_at < :counted_at",
            "nobody has counted later",
            {":counted_at": text(counted.counted_at)},
        )
        try:
            self._table.put(
                Put(table=self._table, key=keys.STORAGE.key(model=model), item=to_item(counted), condition=condition)
            )
        except ConditionFailed:
            return False
        return True
