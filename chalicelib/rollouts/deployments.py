"""The operators' use cases of deployments: deploy, roll back, and the history of both.

An operator names the revision that it saw. If something else was deployed since, nothing changes and the refusal says what is
there. If what is there is the very thing that was asked for, the request came twice, and has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chalicelib.errors import Refusal
from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.deployment import Deployment, NothingBeneath, VersionState, deploy, is_repeat, roll_back
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.versions import Versions
from chalicelib.storage.rows import page
from muster.wire import admin
from muster.wire.problems import Problem

PAGE = 50


class Deployments:
    """What clients are served, as operators decide it."""

    def __init__(self, *, catalogue: Catalogue, versions: Versions, store: RegistryStore, clock: Clock) -> None:
        self._catalogue = catalogue
        self._versions = versions
        self._store = store
        self._clock = clock

    def page(self, model: str, query: admin.Page) -> admin.DeploymentList:
        """A page of a model's deployments, newest first, those below `before`.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        found, before = page(self._store.page_of_deployments(model, query.before, PAGE), lambda row: row.revision)
        return admin.DeploymentList(deployments=[_reply(row) for row in found], before=before)

    def deploy(self, model: str, request: admin.Deploy, by: str | None) -> admin.DeploymentReply:
        """Serve a version from now on; one that is served already stays so.

        Raises:
            Refusal: `unknown-model`, `unknown-version`, `version-in-training`, `deployment-moved`.
        """
        version = self._versions.find(model, request.version)
        if self._versions.state(version) is VersionState.TRAINING:
            raise Refusal(
                Problem.VERSION_IN_TRAINING,
                f"version {version.number} of {model} is being evaluated; its round will decide",
                expected="a version whose round has ended: wait, or abandon the round",
                got=f"round {model}.{version.round}, evaluating",
            )
        now = self._clock()
        return self._decide(
            model, request.revision, request.dry_run, lambda seen: deploy(seen, version, now, request.because, by)
        )

    def rollback(self, model: str, request: admin.Rollback, by: str | None) -> admin.DeploymentReply:
        """Go back along the history of deployments.

        Raises:
            Refusal: `unknown-model`, `nothing-to-roll-back-to`, `deployment-moved`.
        """
        self._catalogue.model(model)
        now = self._clock()

        def decide(seen: Deployment) -> Deployment:
            try:
                back = roll_back(seen, lambda r: self._revision(model, r), request.steps, now, request.because, by)
            except NothingBeneath as bottom:
                raise Refusal(
                    Problem.NOTHING_TO_ROLL_BACK_TO,
                    f"the history of {model} does not go back {request.steps} steps from revision {seen.revision}",
                    expected=f"at most {bottom.steps} steps",
                    got=f"{request.steps} steps",
                ) from bottom
            # The log says what it was; which deltas lead to it today, only its own row does.
            version = self._store.version(model, back.stable.version)
            return replace(back, stable=version.checkpoint) if version else back

        return self._decide(model, request.revision, request.dry_run, decide)

    def _decide(
        self, model: str, revision: int, dry_run: bool, decide: Callable[[Deployment], Deployment]
    ) -> admin.DeploymentReply:
        """Make the revision that follows from the one that the operator saw, or find that it was made."""
        present = self._store.present(model)
        seen = present if present.revision == revision else self._store.revision(model, revision)
        if seen is None:
            raise _moved(present, revision)
        try:
            wanted = decide(seen)
        except Refusal as refused:
            raise refused if seen is present else _moved(present, revision) from refused
        if wanted is present or (dry_run and seen is present):
            return _reply(wanted)
        made = self._store.deploy(wanted) if seen is present else self._store.revision(model, wanted.revision)
        if wanted is seen or made is None or not is_repeat(made, wanted):
            raise _moved(self._store.deployment(model) or present, revision)
        about = {
            "model": model,
            "version": made.stable.version,
            "revision": made.revision,
            "by": made.by,
            "because": made.because,
        }
        log.info(made.kind, extra=about)
        return _reply(made)

    def _revision(self, model: str, revision: int) -> Deployment:
        found = self._store.revision(model, revision)
        if found is None:
            raise AssertionError(f"revision {revision} of {model} is named by another and is not there")
        return found


def _moved(present: Deployment, revision: int) -> Refusal:
    who = present.by or f"round {present.round}"
    there = f"version {present.stable.version}, {present.kind} at {text(present.at)} by {who}"
    return Refusal(
        Problem.DEPLOYMENT_MOVED,
        f"revision {revision} is not the present one of {present.model}; nothing was changed",
        expected=f"revision {present.revision}: {there}",
        got=f"revision {revision}",
    )


def _reply(deployment: Deployment) -> admin.DeploymentReply:
    return admin.DeploymentReply(
        model=deployment.model,
        revision=deployment.revision,
        version=deployment.stable.version,
        kind=deployment.kind.value,
        left=list(deployment.left),
        previous=deployment.previous,
        at=deployment.at,
        because=deployment.because,
        by=deployment.by,
        round=deployment.round,
    )
