"""What versions are called beside their numbers; worked out, never stored."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chalicelib.registry.deployment import Deployment, VersionState, states
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.version import Version

CHAMPION, CHALLENGER, NEWEST = "champion", "challenger", "newest"

PAGE = 50
"""Versions whose states are read off the log together."""


def challenger(store: RegistryStore, present: Deployment, in_training: int | None) -> Version | None:
    """The newest version that was never served, is newer than the one that is, and was not deleted."""
    newer = with_states(store, present.model, in_training, after=present.stable.version)
    hopeful = (VersionState.STAGED, VersionState.TRAINING)
    return next((version for version, state in newer if state in hopeful and version.deleted_at is None), None)


def with_states(
    store: RegistryStore, model: str, in_training: int | None, after: int = -1
) -> Iterator[tuple[Version, VersionState]]:
    """Versions above `after` and their states, newest first."""
    versions = store.versions(model, after=after)
    while chunk := list(islice(versions, PAGE)):
        log = store.deployments(model, after=min(version.revision for version in chunk))
        found = states((version.number for version in chunk), log, in_training)
        yield from ((version, found[version.number]) for version in chunk)
