"""The operators' use cases of cohorts: make one, change it by a revision, list them with their sizes."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.clients.census import Census
from chalicelib.clients.cohort import Cohort
from chalicelib.clients.store import ClientStore
from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock, text
from chalicelib.log import log
from muster.wire import admin
from muster.wire.problems import Problem


class Cohorts:
    """Named sets of clients."""

    def __init__(self, *, store: ClientStore, census: Census, clock: Clock) -> None:
        self._store = store
        self._census = census
        self._clock = clock

    def all(self) -> admin.CohortList:
        """All cohorts, by name."""
        counted = self._census.statistics()
        return admin.CohortList(cohorts=[_reply(cohort, counted) for cohort in self._store.cohorts()])

    def show(self, name: str) -> admin.CohortReply:
        """One cohort.

        Raises:
            Refusal: `unknown-cohort`.
        """
        return _reply(self.find(name), self._census.statistics())

    def find(self, name: str) -> Cohort:
        """A cohort as it is now.

        Raises:
            Refusal: `unknown-cohort`, naming those that are near.
        """
        found = self._store.cohort(name)
        if found is None:
            known = near(name[:48], (cohort.name for cohort in self._store.cohorts()))
            raise Refusal(Problem.UNKNOWN_COHORT, f"no cohort {name[:48]!r}", expected=known, got=name[:48])
        return found

    def set(self, name: str, request: admin.SetCohort, by: str | None) -> admin.CohortReply:
        """Make a cohort, or its next revision; the same again is the same.

        Raises:
            Refusal: `cohort-moved`, `too-many-cohorts`.
        """
        present = self._store.cohort(name)
        wanted = Cohort(
            name=name, revision=request.revision + 1, rule=request.rule, at=self._clock(), because=request.because, by=by
        )
        # Two who make the last one at once make one more: a census has room for it.
        if present is None and len(self._store.cohorts()) >= admin.MOST_COHORTS:
            raise Refusal(
                Problem.TOO_MANY_COHORTS,
                f"there are {admin.MOST_COHORTS} cohorts",
                expected="another revision of one that is there",
                got=name,
            )
        seen = 0 if present is None else present.revision
        if present is not None and _is_same(present, wanted):
            made = present
        elif seen != request.revision:
            raise _moved(name, present, request.revision)
        elif request.dry_run:
            made = wanted
        else:
            made = self._store.put_cohort(wanted)
            if not _is_same(made, wanted):
                raise _moved(name, made, request.revision)
            log.info("cohort set", cohort=made.tag, by=by, because=made.because)
        return _reply(made, self._census.statistics())


def _is_same(made: Cohort, wanted: Cohort) -> bool:
    """Whether a revision is what was wanted, whoever made it."""
    return made == replace(wanted, at=made.at, because=made.because, by=made.by)


def _moved(name: str, present: Cohort | None, seen: int) -> Refusal:
    there = "no cohort of that name" if present is None else f"revision {present.revision}, set at {text(present.at)}"
    return Refusal(
        Problem.COHORT_MOVED,
        f"cohort {name} does not have revision {seen}; nothing was changed",
        expected=f"{there}: give {present.revision if present else 0}",
        got=f"revision {seen}",
    )


def _reply(cohort: Cohort, counted: admin.FleetStatistics) -> admin.CohortReply:
    active = counted.active_by_cohort.get(cohort.tag)
    return admin.CohortReply(
        cohort=cohort.name,
        revision=cohort.revision,
        rule=cohort.rule,
        at=cohort.at,
        because=cohort.because,
        by=cohort.by,
        active=active,
        counted_at=None if active is None else counted.counted_at,
    )
