"""A cohort: which clients belong to it, by what they say of themselves and by a stable share of the fleet (pure)."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Annotated

from chalicelib.clients.client import Capability, Described
from chalicelib.clients.splits import place
from chalicelib.instants import Instant
from chalicelib.texts import AS_TEXT, from_text
from muster.wire.admin.cohorts import Between, CohortRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A named set of clients, as it is since a revision."""

    name: str
    revision: int
    rule: Annotated[CohortRule, AS_TEXT, from_text(CohortRule)]
    at: Instant
    because: str
    by: str | None = None

    @property
    def tag(self) -> str:
        """What names this revision of it."""
        return f"{self.name}.{self.revision}"


def belongs(rule: CohortRule, client: Described) -> bool:
    """Whether a client is in the cohort of this rule."""
    return (
        (not rule.device_types or client.device_type in rule.device_types)
        and (not rule.sdk_versions or client.sdk_version in rule.sdk_versions)
        and all(_fits(wanted, client.capabilities.get(name)) for name, wanted in rule.capabilities.items())
        and (rule.slice is None or place(f"layer/{rule.slice.layer}", client.client_id) in rule.slice.places)
    )


def are_disjoint(one: CohortRule, other: CohortRule) -> bool:
    """Whether no client whatsoever can belong to both: then, and only then, two experiments may go on beside each other."""
    if _are_apart(set(one.device_types), set(other.device_types)) or _are_apart(set(one.sdk_versions), set(other.sdk_versions)):
        return True
    if one.slice and other.slice and one.slice.layer == other.slice.layer:
        first, second = one.slice.places, other.slice.places
        if first.stop <= second.start or second.stop <= first.start:
            return True
    both = one.capabilities.keys() & other.capabilities.keys()
    return any(_exclude(one.capabilities[name], other.capabilities[name]) for name in both)


def _are_apart(some: Set[str], others: Set[str]) -> bool:
    return bool(some) and bool(others) and not some & others


def _fits(wanted: Capability | Between, value: object) -> bool:
    if isinstance(wanted, Between):
        return wanted.has(value)
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)  # True is no 1


def _exclude(one: Capability | Between, other: Capability | Between) -> bool:
    """Whether no value is what both want."""
    if isinstance(one, Between) and isinstance(other, Between):
        return _ends_below(one, other) or _ends_below(other, one)
    if isinstance(one, Between):
        return not one.has(other)
    if isinstance(other, Between):
        return not other.has(one)
    return not _fits(one, other)


def _ends_below(one: Between, other: Between) -> bool:
    return one.maximum is not None and other.minimum is not None and one.maximum < other.minimum
