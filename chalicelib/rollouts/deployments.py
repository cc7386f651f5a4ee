"""The operators' use cases of deployments: deploy, at once or step by step, move a rollout, roll back; the history of it all.

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
from chalicelib.registry.deployment import Deployment, NothingBeneath, is_repeat, roll_back
from chalicelib.registry.rollout import ALL, Rollout
from chalicelib.registry.store import RegistryStore, VersionGone
from chalicelib.registry.version import Version
from chalicelib.registry.versions import Versions, version_deleted
from chalicelib.rollouts import moves
from chalicelib.rollouts.moves import start
from chalicelib.storage.rows import page
from muster.wire import admin
from muster.wire.problems import Problem

PAGE = 50


class Deployments:
    """What clients are served, as operators decide it."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        versions: Versions,
        store: RegistryStore,
        clock: Clock,
        draw_secret: Callable[[], str],
    ) -> None:
        self._catalogue = catalogue
        self._versions = versions
        self._store = store
        self._clock = clock
        self._draw_secret = draw_secret

    def page(self, model: str, query: admin.Page) -> admin.DeploymentList:
        """A page of a model's deployments, newest first, those below `before`.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        found, before = page(self._store.page_of_deployments(model, query.before, PAGE), lambda row: row.revision)
        return admin.DeploymentList(deployments=[reply_of(row) for row in found], before=before)

    def deploy(self, model: str, request: admin.Deploy, by: str | None) -> admin.DeploymentReply:
        """Serve a version from now on, by the strategy of the request or of the model; one that is served already stays so, and
        is signed anew where the stack's key has not signed it.

        Raises:
            Refusal: `unknown-model`, `unknown-version`, `version-deleted`, `version-in-training`, `deployment-moved`,
                `rollout-goes-on`, `experiments-go-on`, `strategy-unfit`.
        """
        config = self._catalogue.model(model).config
        asked = request.strategy or config.strategy or admin.IMMEDIATE
        try:
            strategy = asked.settled(config.metric)
        except ValueError as unfit:
            raise Refusal(
                Problem.STRATEGY_UNFIT,
                f"version {request.version} of {model} cannot be rolled out so",
                expected=str(unfit),
                got=asked.kind,
            ) from unfit
        version = self._versions.servable(model, request.version)
        now = self._clock()

        def decide(seen: Deployment) -> Deployment:
            if seen.rollout is not None:
                raise goes_on(seen, seen.rollout)
            if seen.experiments:
                raise _tried(seen)
            if seen.stable.version == version.number:
                if self._store.is_signed(seen):
                    return seen
                return replace(moves.again(seen, now, request.because), by=by)
            return replace(start(seen, version.checkpoint, strategy, now, request.because, secret=self._draw_secret()), by=by)

        return self.decide(model, request.revision, request.dry_run, decide)

    def move(self, model: str, request: admin.MoveRollout, by: str | None) -> admin.DeploymentReply:
        """Pause, resume, promote or abort the rollout that goes on; what is so already stays so.

        Raises:
            Refusal: `unknown-model`, `no-rollout`, `deployment-moved`.
        """
        self._catalogue.model(model)
        now, because = self._clock(), request.because

        def decide(seen: Deployment) -> Deployment:
            try:
                moves.going_on(seen)
            except moves.NoRollout as none:
                raise no_rollout(seen, request.move) from none
            match request.move:
                case "pause":
                    wanted = moves.pause(seen, now, because)
                case "resume":
                    wanted = moves.resume(seen, now, because)
                case "promote":
                    wanted = moves.promote(seen, now, because)
                case "abort":
                    wanted = moves.abort(seen, now, because)
            return seen if wanted is seen else replace(wanted, by=by)

        return self.decide(model, request.revision, request.dry_run, decide)

    def rollback(self, model: str, request: admin.Rollback, by: str | None) -> admin.DeploymentReply:
        """Go back along the history of deployments.

        Raises:
            Refusal: `unknown-model`, `nothing-to-roll-back-to`, `version-deleted`, `deployment-moved`.
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
            if version and version.deleted_at:
                raise self._too_far(seen, version, request.steps)
            return replace(back, stable=version.checkpoint) if version else back

        return self.decide(model, request.revision, request.dry_run, decide)

    def decide(
        self, model: str, revision: int, dry_run: bool, decide: Callable[[Deployment], Deployment]
    ) -> admin.DeploymentReply:
        """Make the revision that follows from the one that the operator saw, or find that it was made.

        Raises:
            Refusal: `deployment-moved`, and what `decide` raises.
        """
        present = self._store.present(model)
        seen = present if present.revision == revision else self._store.revision(model, revision)
        if seen is None:
            raise _moved(present, revision)
        try:
            wanted = decide(seen)
        except Refusal as refused:
            raise refused if seen is present else _moved(present, revision) from refused
        if wanted is present or (dry_run and seen is present):
            return reply_of(wanted)
        try:
            made = self._store.deploy(wanted) if seen is present else self._store.revision(model, wanted.revision)
        except VersionGone as gone:
            raise version_deleted(self._store.known(model, gone.version)) from gone
        if wanted is seen or made is None or not is_repeat(made, wanted):
            raise _moved(self._store.deployment(model) or present, revision)
        told(made)
        return reply_of(made)

    def _too_far(self, seen: Deployment, deleted: Version, steps: int) -> Refusal:
        """A rollback would lead to a version that was deleted: how far back one can go that was not."""
        target, deepest = seen, "none"
        for step in range(1, steps):
            if target.previous is None:
                break
            target = self._revision(seen.model, target.previous)
            version = self._store.version(seen.model, target.stable.version)
            if version and version.deleted_at is None:
                deepest = f"{step}, to version {version.number}"
        return version_deleted(deleted, f"steps that lead to a version that is kept; the most: {deepest}")

    def _revision(self, model: str, revision: int) -> Deployment:
        found = self._store.revision(model, revision)
        if found is None:
            raise AssertionError(f"revision {revision} of {model} is named by another and is not there")
        return found


def told(made: Deployment) -> None:
    """Log a revision that was made, whoever made it."""
    about: dict[str, object] = {
        "model": made.model,
        "version": made.stable.version,
        "revision": made.revision,
        "by": made.by,
        "because": made.because,
    }
    if made.rollout is not None:
        about |= {"candidate": made.rollout.candidate.version, "percent": 100 * made.rollout.share / ALL}
    if made.experiments:
        about["experiments"] = [experiment.name for experiment in made.experiments]
    log.info(made.kind, extra=about)


def no_rollout(present: Deployment, asked: str) -> Refusal:
    """There is none that could be moved or shown."""
    return Refusal(
        Problem.NO_ROLLOUT,
        f"all clients of {present.model} are given version {present.stable.version}",
        expected="a rollout that goes on: `muster rollout start` begins one",
        got=asked,
    )


def goes_on(present: Deployment, rollout: Rollout) -> Refusal:
    """A rollout goes on, and nothing else may begin beside it."""
    return Refusal(
        Problem.ROLLOUT_GOES_ON,
        f"version {rollout.candidate.version} of {present.model} is being rolled out, at {100 * rollout.share / ALL:g} %",
        expected="one rollout at a time: promote or abort this one first",
        got=f"revision {present.revision}, {present.kind} at {text(present.at)}",
    )


def _tried(present: Deployment) -> Refusal:
    names = ", ".join(experiment.name for experiment in present.experiments)
    return Refusal(
        Problem.EXPERIMENTS_GO_ON,
        f"{present.model} has experiments: {names}",
        expected="none: end them first, or roll back, which ends all of them",
        got=f"revision {present.revision}, {present.kind} at {text(present.at)}",
    )


def _moved(present: Deployment, revision: int) -> Refusal:
    who = present.by or (f"round {present.round}" if present.round else "its strategy")
    served = f"version {present.stable.version}"
    there = f"{served}, {present.kind} at {text(present.at)} by {who}"
    if present.rollout is not None:
        served += f", and version {present.rollout.candidate.version} to {100 * present.rollout.share / ALL:g} % of the clients"
    return Refusal(
        Problem.DEPLOYMENT_MOVED,
        f"revision {revision} is not the present one of {present.model}; nothing was changed, and clients are served {served}",
        expected=f"revision {present.revision}: {there}",
        got=f"revision {revision}",
    )


def reply_of(deployment: Deployment) -> admin.DeploymentReply:
    """A revision, for an operator."""
    return admin.DeploymentReply(
        model=deployment.model,
        revision=deployment.revision,
        version=deployment.stable.version,
        kind=deployment.kind.value,
        rollout=deployment.rollout and rollout_reply(deployment.model, deployment.rollout),
        experiments=[experiment.name for experiment in deployment.experiments],
        ended=deployment.ended,
        left=list(deployment.left),
        previous=deployment.previous,
        at=deployment.at,
        because=deployment.because,
        by=deployment.by,
        round=deployment.round,
        is_signed=deployment.signed is not None,
    )


def rollout_reply(model: str, rollout: Rollout) -> admin.RolloutReply:
    """A rollout, for an operator."""
    return admin.RolloutReply(
        rollout=f"{model}.r{rollout.began}",
        candidate=rollout.candidate.version,
        strategy=rollout.strategy,
        step=rollout.step,
        percent=100 * rollout.share / ALL,
        since=rollout.since,
        paused=rollout.paused,
    )
