"""A typed client for the operators' routes: each method is one request, or says which ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, Literal, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter

from muster import telemetry
from muster.http.addresses import check_address
from muster.http.answers import Reply
from muster.http.errors import Expired, Insecure, Refused
from muster.http.transport import Transport
from muster.operator.signing import SigV4
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.problems import Problem
from muster.wire.spelling import near

Page = TypeVar(
    "Page",
    admin.ConfigurationList,
    admin.RoundList,
    admin.RoundReceiptList,
    admin.RoundJudgementList,
    admin.VersionList,
    admin.DeploymentList,
    admin.ClientList,
    admin.TokenList,
)


class OperatorTransport(Transport):
    """Tells each request of the API as a span: with which method, and of what."""

    def call(
        self,
        method: str,
        path: str,
        reply: type[Reply] | TypeAdapter[Reply],
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request and its reply, as of `Transport`."""
        noun = path.partition("?")[0].removeprefix("/v1/admin/").partition("/")[0]
        with telemetry.span("request", method=method.lower(), of=noun):
            return super().call(method, path, reply, body, headers)


class NoAddress(Exception):
    """No server was named, or one to which a signature would travel in the clear."""


class UnknownExperiment(Exception):
    """A model never had an experiment of that name."""


class Operator:
    """Steers models and the fleet over HTTP. In an AWS account, `auth` signs each request (`muster.operator.signing`); a
    local cloud asks for none: `connect` knows.

    Every method raises `muster.http.errors.Refused` when the server says no, and `Unreachable` when it does not answer. Every
    request may be sent again: the same again has the same answer.
    """

    def __init__(self, url: str, *, auth: httpx.Auth | None = None, http: httpx.Client | None = None) -> None:
        self.url = url
        self._transport = OperatorTransport(url, http=http, auth=auth)

    @classmethod
    def connect(cls, url: str, profile: str | None = None, region: str | None = None) -> Self:
        """A client for the server at `url`. It signs with the credentials of an AWS profile, but for a server on this machine.

        Raises:
            NoAddress: the URL is neither https nor of this machine.
            NotSigned: there are no credentials, or no region.
        """
        try:
            check_address(url)
        except Insecure as insecure:
            raise NoAddress(f"{url!r} is neither https nor on this machine") from insecure
        if urlsplit(url).scheme == "http":
            return cls(url)
        return cls(url, auth=SigV4.of(url, profile, region))

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    # ---- tokens and clients

    def mint_token(
        self,
        uses: int,
        *,
        expires_in_seconds: float = 86_400.0,
        label: str = "devices",
        models: list[str] | None = None,
        device_types: list[str] | None = None,
    ) -> admin.MintedToken:
        """A token that lets `uses` devices enrol, of these types and for these models (None: all)."""
        request = admin.MintToken(
            uses=uses, expires_in_seconds=expires_in_seconds, label=label, models=models, device_types=device_types
        )
        return self._transport.call("POST", "/v1/admin/tokens", admin.MintedToken, request)

    def tokens(self) -> Iterator[admin.TokenReply]:
        """All enrolment tokens that are kept: one request a page."""
        for page in self._pages("/v1/admin/tokens", admin.TokenList):
            yield from page.tokens

    def revoke_token(self, token_id: str) -> admin.TokenReply:
        """Let a token admit nobody any more; who enrolled with it stays."""
        return self._transport.call("POST", f"/v1/admin/tokens/{token_id}/revoke", admin.TokenReply)

    def clients(self, **only: Any) -> Iterator[admin.ClientReply]:
        """The clients, or only some of them (the members of `admin.ClientPage`): one request a page, as far as it is read."""
        for page in self._pages("/v1/admin/clients", admin.ClientList, admin.ClientPage(**only)):
            yield from page.clients

    def client(self, client_id: str) -> admin.ClientReply:
        """One client."""
        return self._transport.call("GET", f"/v1/admin/clients/{client_id}", admin.ClientReply)

    def revoke(self, client_id: str) -> admin.ClientReply:
        """Take a device's key away for good."""
        return self._transport.call("POST", f"/v1/admin/clients/{client_id}/revoke", admin.ClientReply)

    def release(self, client_id: str) -> admin.ClientReply:
        """Let a client out of its quarantine, and forget its strikes."""
        return self._transport.call("POST", f"/v1/admin/clients/{client_id}/release", admin.ClientReply)

    def overview(self) -> admin.Overview:
        """All models at a glance, and what concerns the whole stack."""
        return self._transport.call("GET", "/v1/admin/overview", admin.Overview)

    def why(self, model: str) -> admin.Why:
        """What a model waits for, since when, what ends that, and what somebody should do."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/why", admin.Why)

    def cost(self, month: str | None = None) -> admin.CostReply:
        """What the stack has used in a month (`2026-11`; the present one if it is not given), by model and service."""
        return self._transport.call("GET", f"/v1/admin/cost{_query(admin.MonthQuery(month=month))}", admin.CostReply)

    def model_cost(self, model: str, month: str | None = None) -> admin.ModelCostReply:
        """What a model has used in a month, day by day, and what its last rounds took."""
        query = _query(admin.MonthQuery(month=month))
        return self._transport.call("GET", f"/v1/admin/models/{model}/cost{query}", admin.ModelCostReply)

    def statistics(self) -> admin.FleetStatistics:
        """The fleet, counted."""
        return self._transport.call("GET", "/v1/admin/statistics", admin.FleetStatistics)

    def pace(self) -> admin.FleetPace:
        """How often devices come now, within which bounds, and what it costs."""
        return self._transport.call("GET", "/v1/admin/fleet/pace", admin.FleetPace)

    def set_pace(
        self, ceiling: float, budget: int | None, *, revision: int, because: str | None = None, dry_run: bool = False
    ) -> admin.FleetPace:
        """Bound what the fleet sends, in requests a second and a month, if its bounds have `revision`; 0 where nobody has set
        any.
        """
        words: dict[str, Any] = {"because": because} if because else {}
        request = admin.SetPace(ceiling=ceiling, budget=budget, revision=revision, dry_run=dry_run, **words)
        return self._transport.call("PUT", "/v1/admin/fleet/pace", admin.FleetPace, request)

    def cohorts(self) -> list[admin.CohortReply]:
        """All cohorts, by name."""
        return self._transport.call("GET", "/v1/admin/cohorts", admin.CohortList).cohorts

    def cohort(self, name: str) -> admin.CohortReply:
        """One cohort."""
        return self._transport.call("GET", f"/v1/admin/cohorts/{name}", admin.CohortReply)

    def set_cohort(
        self, name: str, rule: admin.CohortRule, *, revision: int, because: str | None = None, dry_run: bool = False
    ) -> admin.CohortReply:
        """Make a cohort, or its next revision, if it has `revision`; 0 for a name that is free."""
        words: dict[str, Any] = {"because": because} if because else {}
        request = admin.SetCohort(rule=rule, revision=revision, dry_run=dry_run, **words)
        return self._transport.call("PUT", f"/v1/admin/cohorts/{name}", admin.CohortReply, request)

    # ---- models and rounds

    def create_model(self, name: str, checkpoint: bytes, config: admin.RoundConfig) -> admin.ModelStatus:
        """Upload a checkpoint (a tensor file) and make it version 0 of a new model: three requests, safe to repeat."""
        request = admin.CreateModel(name=name, config=config, checkpoint=self._upload(checkpoint))
        return self._transport.call("POST", "/v1/admin/models", admin.ModelStatus, request)

    def models(self) -> list[admin.ModelSummary]:
        """All models, by name."""
        return self._transport.call("GET", "/v1/admin/models", admin.ModelList).models

    def configure(
        self, model: str, config: admin.RoundConfig, *, revision: int, because: str | None = None, dry_run: bool = False
    ) -> admin.ConfigurationReply:
        """Run a model's rounds so from the next one on, if `revision` is still the newest configuration."""
        words = {"because": because} if because else {}
        request = admin.Configure(config=config, revision=revision, dry_run=dry_run, **words)
        return self._transport.call("POST", f"/v1/admin/models/{model}/configurations", admin.ConfigurationReply, request)

    def configurations(self, model: str) -> Iterator[admin.ConfigurationReply]:
        """The history of a model's configuration, newest first: one request a page, as far as it is read."""
        for page in self._pages(f"/v1/admin/models/{model}/configurations", admin.ConfigurationList):
            yield from page.configurations

    def start(self, model: str, rounds: int) -> admin.ModelStatus:
        """Let rounds open until `rounds` of them have completed in the model's whole life."""
        return self._train(model, admin.Training(state="running", rounds=rounds))

    def stop(self, model: str) -> admin.ModelStatus:
        """Open no further round; one that is open goes on to its end."""
        return self._train(model, admin.Training(state="stopped"))

    def status(self, model: str) -> admin.ModelStatus:
        """A model, its training, what is deployed, its current round, its clients, its open alerts, the last hour's metrics."""
        return self._transport.call("GET", f"/v1/admin/models/{model}", admin.ModelStatus)

    def rounds(self, model: str) -> Iterator[admin.RoundReply]:
        """All rounds of a model, newest first: one request a page, as far as it is read."""
        for page in self._pages(f"/v1/admin/models/{model}/rounds", admin.RoundList):
            yield from page.rounds

    def round(self, model: str, number: int) -> admin.RoundReply:
        """One round."""
        return self._transport.call("GET", _round(model, number), admin.RoundReply)

    def abandon(self, model: str, number: int, because: str = "an operator abandoned it") -> admin.RoundReply:
        """End an open round; what is deployed stays deployed."""
        path, request = f"{_round(model, number)}/abandon", admin.AbandonRound(because=because)
        return self._transport.call("POST", path, admin.RoundReply, request)

    def receipts(self, model: str, number: int, **only: Any) -> Iterator[admin.RoundReceipt]:
        """A round's receipts, or only those of a `state` or a `reason`: one request a page, as far as it is read."""
        path = f"{_round(model, number)}/receipts"
        for page in self._pages(path, admin.RoundReceiptList, admin.RoundReceiptsPage(**only)):
            yield from page.receipts

    def receipts_page(self, model: str, number: int, **only: Any) -> admin.RoundReceiptList:
        """One page of them: the first, or what follows the client `after`."""
        path = f"{_round(model, number)}/receipts" + _query(admin.RoundReceiptsPage(**only))
        return self._transport.call("GET", path, admin.RoundReceiptList)

    def judgements(self, model: str, number: int) -> Iterator[admin.RoundJudgement]:
        """Who judges a round's candidate, and what each measured: one request a page, as far as it is read."""
        for page in self._pages(f"{_round(model, number)}/judgements", admin.RoundJudgementList):
            yield from page.judgements

    def judgements_page(self, model: str, number: int, **only: Any) -> admin.RoundJudgementList:
        """One page of them: the first, or what follows the client `after`."""
        path = f"{_round(model, number)}/judgements" + _query(admin.RoundJudgementsPage(**only))
        return self._transport.call("GET", path, admin.RoundJudgementList)

    def round_files(self, model: str, number: int, after: str | None = None) -> admin.RoundFileList:
        """What a round's version was made of: manifest, base, state and the first updates; or updates of clients `after`."""
        query = _query(admin.RoundFilesPage(after=after))
        return self._transport.call("GET", f"{_round(model, number)}/files{query}", admin.RoundFileList)

    def save(self, url: str, sha256: str, limit: int, file: IO[bytes]) -> None:
        """Write an object of exactly this digest, and of at most `limit` bytes, into a file. May be called from threads."""
        self._transport.save(url, sha256, limit, file)

    # ---- versions and deployments

    def versions(self, model: str, state: str | None = None) -> Iterator[admin.VersionReply]:
        """A model's versions, newest first, or only those in one state: one request a page, as far as it is read."""
        path, only = f"/v1/admin/models/{model}/versions", admin.VersionPage.model_validate({"state": state})
        for page in self._pages(path, admin.VersionList, only):
            yield from page.versions

    def version(self, model: str, ref: str | int) -> admin.VersionReply:
        """One version, by number, id, alias or state (`admin.VersionRef`), with a fresh download URL."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/versions/{ref}", admin.VersionReply)

    def kept(self, model: str, ref: str | int) -> admin.VersionReply:
        """One version, as `version` has it, if its checkpoint and its document are there.

        Raises:
            Refused: `version-deleted`, and what else the server refuses.
        """
        found = self.version(model, ref)
        if found.deleted_at is not None:
            kind = Problem.VERSION_DELETED
            document = wire.ProblemDocument(
                type=kind.urn,
                title=kind.kind.title,
                status=kind.kind.status,
                detail=f"{found.id} was deleted at {found.deleted_at:%Y-%m-%d %H:%M}, and its checkpoint with it",
                expected="a version that is kept",
                got=found.id,
            )
            raise Refused(document)
        return found

    def pin(self, model: str, ref: str | int, *, pinned: bool = True) -> admin.VersionReply:
        """Keep a version whatever else happens, or no longer."""
        path = f"/v1/admin/models/{model}/versions/{ref}/pin"
        return self._transport.call("PUT", path, admin.VersionReply, admin.PinVersion(pinned=pinned))

    def retention(self, model: str, keep_versions: int | None = None) -> Iterator[admin.RetainedVersion]:
        """What becomes of each of a model's versions, newest first, or would if the model kept so many: one request a page, as
        far as it is read.
        """
        query = admin.RetentionPage(keep_versions=keep_versions)
        while True:
            path = f"/v1/admin/models/{model}/retention{_query(query)}"
            page = self._transport.call("GET", path, admin.RetentionReply)
            yield from page.versions
            if page.before is None:
                return
            query = query.model_copy(update={"before": page.before, "newer": page.newer})

    def register(
        self, model: str, checkpoint: bytes, metrics: Mapping[str, float] | None = None, note: str | None = None
    ) -> admin.VersionReply:
        """Upload a checkpoint and make it the model's next version: three requests, safe to repeat."""
        request = admin.RegisterVersion(checkpoint=self._upload(checkpoint), metrics=dict(metrics or {}), note=note)
        return self._transport.call("POST", f"/v1/admin/models/{model}/versions", admin.VersionReply, request)

    def download(self, checkpoint: wire.Checkpoint) -> bytes:
        """A version's tensor file, verified against its digest."""
        return self._transport.download(checkpoint)

    def document(self, version: admin.VersionReply) -> bytes:
        """A version's document (canonical JSON), verified against its digest."""
        return self._transport.read(version.document_url, version.document_sha256)

    def deploy(
        self,
        model: str,
        version: str | int,
        *,
        revision: int,
        strategy: admin.Strategy | None = None,
        because: str | None = None,
        dry_run: bool = False,
    ) -> admin.DeploymentReply:
        """Serve a version from now on, by a strategy or the model's own, if `revision` is still the newest deployment."""
        words: dict[str, Any] = {"because": because} if because else {}
        request = admin.Deploy(version=str(version), revision=revision, strategy=strategy, dry_run=dry_run, **words)
        return self._transport.call("POST", f"/v1/admin/models/{model}/deployments", admin.DeploymentReply, request)

    def rollout(self, model: str) -> admin.RolloutStatus:
        """The rollout that goes on, and what its clients say."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/rollout", admin.RolloutStatus)

    def move_rollout(
        self,
        model: str,
        move: Literal["pause", "resume", "promote", "abort"],
        *,
        revision: int,
        because: str | None = None,
        dry_run: bool = False,
    ) -> admin.DeploymentReply:
        """Do something about the rollout that goes on, if `revision` is still the newest deployment."""
        words: dict[str, Any] = {"because": because} if because else {}
        request = admin.MoveRollout(move=move, revision=revision, dry_run=dry_run, **words)
        return self._transport.call("POST", f"/v1/admin/models/{model}/rollout", admin.DeploymentReply, request)

    def experiments(self, model: str) -> admin.ExperimentList:
        """The experiments that go on, and what is known of each."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/experiments", admin.ExperimentList)

    def experiment(self, model: str, name: str) -> admin.ExperimentReply:
        """The experiment of a name that goes on, or the last one that is over.

        Raises:
            UnknownExperiment: there was never one of that name.
        """
        going_on = self.experiments(model).experiments
        for one in going_on:
            if one.name == name:
                return one
        known: list[str] = []
        for over in (revision.ended for revision in self.deployments(model) if revision.ended is not None):
            if over.name == name:
                return over
            known.append(over.name)
        known += [one.name for one in going_on]
        raise UnknownExperiment(f"{model} never had an experiment {name!r}: {near(name, known)}")

    def start_experiment(self, model: str, request: admin.StartExperiment) -> admin.DeploymentReply:
        """Begin an experiment, if its `revision` is still the newest deployment."""
        return self._transport.call("POST", f"/v1/admin/models/{model}/experiments", admin.DeploymentReply, request)

    def end_experiment(
        self, model: str, name: str, *, revision: int, because: str | None = None, dry_run: bool = False
    ) -> admin.DeploymentReply:
        """End an experiment, if `revision` is still the newest deployment."""
        words: dict[str, Any] = {"because": because} if because else {}
        request = admin.EndExperiment(revision=revision, dry_run=dry_run, **words)
        path = f"/v1/admin/models/{model}/experiments/{name}/end"
        return self._transport.call("POST", path, admin.DeploymentReply, request)

    def rollback(
        self, model: str, steps: int = 1, *, revision: int, because: str | None = None, dry_run: bool = False
    ) -> admin.DeploymentReply:
        """Go back along the history of deployments, if `revision` is still the newest deployment."""
        words = {"because": because} if because else {}
        request = admin.Rollback(steps=steps, revision=revision, dry_run=dry_run, **words)
        return self._transport.call("POST", f"/v1/admin/models/{model}/rollbacks", admin.DeploymentReply, request)

    def deployments(self, model: str) -> Iterator[admin.DeploymentReply]:
        """The history of deployments, newest first: one request a page, as far as it is read."""
        for page in self._pages(f"/v1/admin/models/{model}/deployments", admin.DeploymentList):
            yield from page.deployments

    # ---- metrics and alerts

    def metric(self, model: str, name: str, hours: int = 1) -> admin.MetricReply:
        """A metric over the last hours."""
        query = _query(admin.MetricQuery(name=name, hours=hours))
        return self._transport.call("GET", f"/v1/admin/models/{model}/metrics{query}", admin.MetricReply)

    def objectives(self, model: str) -> admin.ObjectiveList:
        """How the model's service objectives stand over thirty days, and what is left of their error budgets."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/objectives", admin.ObjectiveList)

    def thresholds(self, model: str) -> list[admin.ThresholdReply]:
        """What is watched."""
        return self._transport.call("GET", f"/v1/admin/models/{model}/thresholds", admin.ThresholdList).thresholds

    def set_threshold(
        self,
        model: str,
        metric: str,
        minimum: float | None = None,
        maximum: float | None = None,
        *,
        lasting_seconds: float = 0.0,
        severity: admin.SeverityName = "warning",
    ) -> admin.ThresholdReply:
        """Watch a metric; without either bound, watch it no more. A breach must last for so long before an alert opens."""
        request = admin.SetThreshold(minimum=minimum, maximum=maximum, lasting_seconds=lasting_seconds, severity=severity)
        return self._transport.call("PUT", f"/v1/admin/models/{model}/thresholds/{metric}", admin.ThresholdReply, request)

    def alerts(self, model: str) -> list[admin.AlertReply]:
        """Alerts that are open, and the last that were cleared; of `-` those of the stack itself, here and below."""
        return self.alerts_and_silences(model).alerts

    def alerts_and_silences(self, model: str) -> admin.AlertList:
        """The same, and of which metrics nobody is told."""
        return self._transport.call("GET", _alerts_of(model), admin.AlertList)

    def acknowledge(self, model: str, metric: str) -> admin.AlertReply:
        """Say that somebody is looking after the metric's open alert."""
        return self._transport.call("POST", f"{_alerts_of(model)}/{metric}/acknowledge", admin.AlertReply)

    def silence(self, model: str, metric: str, seconds: float, because: str | None = None) -> admin.SilenceReply:
        """Tell nobody of a metric's alerts for so many seconds; 0 ends a silence."""
        words = {"because": because} if because else {}
        path = f"{_alerts_of(model)}/{metric}/silence"
        return self._transport.call("PUT", path, admin.SilenceReply, admin.SetSilence(seconds=seconds, **words))

    def test_alerts(self) -> admin.TestMessageReply:
        """Send a message to all who are subscribed to the alerts, which says that messages arrive."""
        return self._transport.call("POST", "/v1/admin/alerts/test", admin.TestMessageReply)

    # ---- common

    def _upload(self, checkpoint: bytes) -> admin.CheckpointUpload:
        upload = admin.CheckpointUpload(bytes=len(checkpoint), sha256=hashlib.sha256(checkpoint).hexdigest())
        try:
            self._put(upload, checkpoint)
        except Expired:
            self._put(upload, checkpoint)
        return upload

    def _put(self, upload: admin.CheckpointUpload, checkpoint: bytes) -> None:
        grant = self._transport.call("POST", "/v1/admin/checkpoints", wire.UploadGrant, upload)
        self._transport.upload(grant, checkpoint)

    def _train(self, model: str, request: admin.Training) -> admin.ModelStatus:
        return self._transport.call("PUT", f"/v1/admin/models/{model}/training", admin.ModelStatus, request)

    def _pages(self, path: str, kind: type[Page], only: wire.Query | None = None) -> Iterator[Page]:
        more: dict[str, Any] = {}
        while True:
            page = self._transport.call("GET", path + _query(only, **more), kind)
            yield page
            more = {name: getattr(page, name) for name in ("before", "after") if getattr(page, name, None) is not None}
            if not more:
                return


def _alerts_of(model: str) -> str:
    return "/v1/admin/alerts" if model == admin.NO_MODEL else f"/v1/admin/models/{model}/alerts"


def _round(model: str, number: int) -> str:
    return f"/v1/admin/models/{model}/rounds/{number}"


def _query(values: wire.Query | None, **more: Any) -> str:
    found = (values.model_dump(mode="json", exclude_none=True) if values else {}) | more
    text = urlencode({name: str(value).lower() if isinstance(value, bool) else value for name, value in found.items()})
    return f"?{text}" if text else ""
