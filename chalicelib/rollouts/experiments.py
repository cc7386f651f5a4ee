"""The operators' use cases of experiments: begin, look, end. Each is a revision of the deployments' log, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from chalicelib.clients.cohort import Cohort, are_disjoint
from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.versions import Versions
from chalicelib.rollouts import moves
from chalicelib.rollouts.deployments import Deployments, goes_on
from chalicelib.rollouts.store import ReportStore
from chalicelib.rollouts.trial import outcome
from muster.wire import admin
from muster.wire.problems import Problem


class Experiments:
    """Two or more versions at once, to know which is better."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        versions: Versions,
        deployments: Deployments,
        registry: RegistryStore,
        reports: ReportStore,
        cohort: Callable[[str], Cohort],
        clock: Clock,
        draw_secret: Callable[[], str],
    ) -> None:
        self._catalogue = catalogue
        self._versions = versions
        self._deployments = deployments
        self._registry = registry
        self._reports = reports
        self._cohort = cohort
        self._clock = clock
        self._draw_secret = draw_secret

    def all(self, model: str) -> admin.ExperimentList:
        """The experiments that go on, and what is known of each.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        present = self._registry.present(model)
        found = [self._found(model, experiment) for experiment in present.experiments]
        return admin.ExperimentList(revision=present.revision, experiments=found)

    def start(self, model: str, request: admin.StartExperiment, by: str | None) -> admin.DeploymentReply:
        """Begin an experiment; one that goes on already goes on.

        Raises:
            Refusal: `unknown-model`, `unknown-version`, `unknown-cohort`, `version-deleted`, `version-in-training`,
                `experiment-unfit`, `experiments-overlap`, `rollout-goes-on`, `deployment-moved`.
        """
        wanted = self._made(model, request)

        def decide(seen: Deployment) -> Deployment:
            if seen.rollout is not None:
                raise goes_on(seen, seen.rollout)
            if any(replace(wanted, began=other.began).wish == other.wish for other in seen.experiments):
                return seen
            _check_room(seen, wanted)
            return replace(moves.begin(seen, wanted, request.because), by=by)

        return self._deployments.decide(model, request.revision, request.dry_run, decide)

    def end(self, model: str, name: str, request: admin.EndExperiment, by: str | None) -> admin.DeploymentReply:
        """End an experiment; the same request again is the same. What it has found stays in the log.

        Raises:
            Refusal: `unknown-model`, `unknown-experiment`, `deployment-moved`.
        """
        self._catalogue.model(model)

        def decide(seen: Deployment) -> Deployment:
            try:
                experiment = moves.experiment_of(seen, name)
            except moves.NoExperiment as none:
                raise _unknown(seen, name) from none
            found = self._found(model, experiment)
            return replace(moves.end(seen, name, self._clock(), request.because, found), by=by)

        return self._deployments.decide(model, request.revision, request.dry_run, decide)

    def _made(self, model: str, request: admin.StartExperiment) -> Experiment:
        """What a request asks for, with nothing left to the model or to a cohort's next revision."""
        metric = request.metric or self._catalogue.model(model).config.metric
        if metric.minimum is None or metric.maximum is None:
            raise Refusal(
                Problem.EXPERIMENT_UNFIT,
                f"{metric.name} has no bounds, so one client could move a mean by any number",
                expected="a metric with a minimum and a maximum; one beyond them counts as the nearer",
                got=f"{metric.name} from {metric.lowest:g} to {metric.highest:g}",
            )
        arms = tuple(self._arm(model, arm) for arm in request.arms)
        if len({arm.checkpoint.version for arm in arms}) == 1:
            raise Refusal(
                Problem.EXPERIMENT_UNFIT,
                f"all arms are version {arms[0].checkpoint.version} of {model}",
                expected="at least two different versions",
                got=", ".join(f"{arm.name}: {arm.checkpoint.version}" for arm in arms),
            )
        cohort, now = None if request.cohort is None else self._cohort(request.cohort), self._clock()
        return Experiment(
            name=request.name,
            began=0,
            since=now,
            arms=arms,
            metric=metric,
            level=request.level,
            least=request.least,
            secret=self._draw_secret(),
            cohort=cohort.tag if cohort else None,
            rule=cohort.rule if cohort else None,
            horizon=None if request.horizon_seconds is None else now + timedelta(seconds=request.horizon_seconds),
        )

    def _arm(self, model: str, asked: admin.Arm) -> ExperimentArm:
        version = self._versions.servable(model, asked.version)
        return ExperimentArm(name=asked.name, checkpoint=version.checkpoint, weight=round(asked.weight * 100))

    def _found(self, model: str, experiment: Experiment) -> admin.ExperimentReply:
        return outcome(model, experiment, self._reports.trials(model, experiment), self._clock())


def _check_room(seen: Deployment, wanted: Experiment) -> None:
    """An experiment may begin beside others if no client can be in two of them."""
    if len(seen.experiments) >= admin.MOST_EXPERIMENTS:
        raise Refusal(
            Problem.EXPERIMENTS_OVERLAP,
            f"{seen.model} has {len(seen.experiments)} experiments",
            expected="one of them to be ended first",
            got=wanted.name,
        )
    for other in seen.experiments:
        apart = wanted.rule is not None and other.rule is not None and are_disjoint(wanted.rule, other.rule)
        if other.name == wanted.name or not apart:
            raise Refusal(
                Problem.EXPERIMENTS_OVERLAP,
                f"experiment {other.name} of {seen.model} "
                + ("has that name" if other.name == wanted.name else "may have the same clients"),
                expected="cohorts that cannot share a client (slices of one layer, other device types), or another name",
                got=f"{wanted.name}: {wanted.cohort or 'all clients'}; {other.name}: {other.cohort or 'all clients'}",
            )


def _unknown(seen: Deployment, name: str) -> Refusal:
    known = near(name[:48], (experiment.name for experiment in seen.experiments))
    return Refusal(
        Problem.UNKNOWN_EXPERIMENT, f"no experiment {name[:48]!r} of {seen.model} goes on", expected=known, got=name[:48]
    )
