"""The operators' use case of retention: what the next sweep would do with each version, and why it keeps what it keeps."""

from __future__ import annotations

from chalicelib.instants import Clock
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.retention import GRACE, Fate, Reach, Review, Standing
from chalicelib.registry.store import Incomplete, RegistryStore
from chalicelib.rounds.reaching import Reaching
from chalicelib.storage.rows import Unreadable
from muster.wire import admin

PAGE = 500
"""Versions on a page; some 0.2 kB each."""


class RetentionView:
    """Decides as the sweep does, and changes nothing."""

    def __init__(self, *, catalogue: Catalogue, registry: RegistryStore, reaching: Reaching, clock: Clock) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._reaching = reaching
        self._clock = clock

    def page(self, name: str, query: admin.RetentionPage) -> admin.RetentionReply:
        """A page of a model's versions, newest first, those below `before`, and what becomes of each.

        Raises:
            Refusal: `unknown-model`.
        """
        model = self._catalogue.model(name)
        keep = query.keep_versions or model.config.keep_versions
        review = Review(keep=keep, reach=self._reach(name), now=self._clock(), newer=query.newer)
        found: list[admin.RetainedVersion] = []
        unreadable, last = 0, 0
        for row in self._registry.page_of_names(name, query.before, PAGE):
            last = row.number
            if isinstance(row, Unreadable):
                row.tell()
                unreadable += 1
            else:
                found.append(_reply(review.standing(row)))
        return admin.RetentionReply(
            model=name,
            keep_versions=keep,
            grace_seconds=GRACE.total_seconds(),
            versions=found,
            unreadable=unreadable,
            newer=review.newer,
            before=last if last > 0 else None,
        )

    def _reach(self, name: str) -> Reach:
        found = self._reaching.of(name)
        if found is None:
            raise Incomplete(f"model {name} has no deployment")
        return found


def _reply(standing: Standing) -> admin.RetainedVersion:
    version = standing.version
    return admin.RetainedVersion(
        version=version.number,
        fate=standing.fate.value,
        because=[str(why) for why in standing.because],
        created_at=version.created_at,
        expires_at=version.expires_at,
        deleted_at=version.deleted_at,
        bytes=0 if standing.fate is Fate.DELETED else version.checkpoint.nbytes,
        sha256=version.checkpoint.sha256,
    )
