"""Every route and every trigger of Muster, a few lines each: the table of contents.

A view reads its request, says it to a use case, and answers. What it may refuse has a name (`muster.wire.problems`).
"""

import os
from functools import partial
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, IAMAuthorizer, Rate, Response, SQSEvent

from chalicelib import metering
from chalicelib.invocations import metered
from chalicelib.rounds.round_id import RoundId
from chalicelib.tracing import names_trace
from chalicelib.triggers import each_message
from chalicelib.web import caller, header, json_response, names_request, only_problems, operator
from chalicelib.web import speaks as speaks_for
from chalicelib.wiring import check_site_rule, services
from muster import __version__
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.problems import Problem as P
from muster.wire.tracing import parent_of

app = Chalice(app_name="muster", configure_logs=False)
app.api.binary_types = []  # every body, in and out, is text
app.register_middleware(lambda event, proceed: metered(event, proceed, services()), "all")
app.register_middleware(names_request, "http")
app.register_middleware(names_trace, "http")
app.register_middleware(only_problems, "http")
check_site_rule(os.environ)
operators = IAMAuthorizer()
speaks = partial(speaks_for, app)


# ---- devices


@app.route("/v1/clients", methods=["POST"])
@speaks(
    wire.Enrolled,
    P.ENROLMENT_REFUSED,
    P.CLIENT_EXISTS,
    P.FLEET_FULL,
    P.REFUSED_BY_SITE,
    P.SIGNING_FAILED,
    takes=wire.Enrolment,
    status=201,
)
def enrol(body: wire.Enrolment) -> wire.Enrolled:
    """Enrol a device: an enrolment token and a client id become a device key. The same again has the same answer."""
    return services().directory.enrol(body)


@app.route("/v1/clients/me", methods=["PUT"])
@speaks(wire.Profile, P.UNAUTHENTICATED, takes=wire.ProfileUpdate)
def describe(body: wire.ProfileUpdate) -> wire.Profile:
    """Say what an enrolled device is now: its SDK version and its capabilities."""
    return services().directory.describe(caller(app), body)


@app.route("/v1/clients/me/key", methods=["POST"])
@speaks(wire.Enrolled, P.UNAUTHENTICATED, P.SIGNING_FAILED, takes=wire.KeyRotation)
def rotate_key(body: wire.KeyRotation) -> wire.Enrolled:
    """Put a new key in the place of the one that the request bears. The same again has the same answer."""
    return services().directory.rotate(caller(app), body)


@app.route("/v1/heartbeat", methods=["POST"])
@speaks(wire.HeartbeatReply, P.UNAUTHENTICATED, P.UNKNOWN_MODEL, takes=wire.Heartbeat)
def heartbeat(body: wire.Heartbeat) -> wire.HeartbeatReply:
    """Say that a device lives; the reply says when to come again and what waits."""
    return services().serving.heartbeat(caller(app), body)


@app.route("/v1/models/{model}/checkin", methods=["POST"])
@speaks(wire.Assignment, P.UNAUTHENTICATED, P.UNKNOWN_MODEL, P.REFUSED_BY_SITE, takes=wire.CheckIn)
def check_in(body: wire.CheckIn, model: str) -> wire.Assignment:
    """Ask for work: a place to train, a place to judge a candidate, or when to come back and why."""
    return services().checkin.check_in(model, caller(app), body)


@app.route("/v1/models/{model}", methods=["GET"])
@speaks(wire.ModelReply, P.UNAUTHENTICATED, P.UNKNOWN_MODEL, asks=wire.ModelQuery)
def read_model(query: wire.ModelQuery, model: str) -> Response:
    """The version that the device should run; 304 when `If-None-Match` names it."""
    tag, reply = services().serving.model(model, caller(app), query, header(app, "if-none-match"))
    return json_response(reply, 200, {"ETag": tag}) if reply else Response("", {"ETag": tag}, 304)


@app.route("/v1/rounds/{round_id}/upload", methods=["POST"])
@speaks(
    wire.UploadGrant,
    P.UNAUTHENTICATED,
    P.UNKNOWN_ROUND,
    P.NOT_ASSIGNED,
    P.ROUND_CLOSED,
    P.REPORT_CONFLICT,
    P.WRONG_LENGTH,
    P.TOO_MANY_GRANTS,
    takes=wire.UploadRequest,
)
def grant_upload(body: wire.UploadRequest, round_id: RoundId) -> wire.UploadGrant:
    """Declare an update and get one presigned PUT for exactly those bytes."""
    return services().updates.grant(round_id, caller(app), body)


@app.route("/v1/rounds/{round_id}/report", methods=["POST"])
@speaks(
    wire.ReceiptReply,
    P.UNAUTHENTICATED,
    P.UNKNOWN_ROUND,
    P.NOT_ASSIGNED,
    P.ROUND_CLOSED,
    P.REPORT_CONFLICT,
    P.UPLOAD_MISSING,
    P.UPLOAD_MISMATCH,
    takes=wire.UpdateReport,
    status=202,
)
def report(body: wire.UpdateReport, round_id: RoundId) -> wire.ReceiptReply:
    """Count an uploaded update toward its round; the same report may be sent again."""
    return services().updates.report(round_id, caller(app), body, parent_of(header(app, "traceparent")))


@app.route("/v1/rounds/{round_id}/report", methods=["GET"])
@speaks(wire.ReceiptReply, P.UNAUTHENTICATED, P.UNKNOWN_ROUND, P.NOT_ASSIGNED)
def read_receipt(round_id: RoundId) -> wire.ReceiptReply:
    """Where the device's update stands, and why."""
    return services().updates.receipt(round_id, caller(app))


@app.route("/v1/rounds/{round_id}/failure", methods=["POST"])
@speaks(
    wire.FailureReply,
    P.UNAUTHENTICATED,
    P.UNKNOWN_ROUND,
    P.NOT_ASSIGNED,
    P.ROUND_CLOSED,
    P.REPORT_CONFLICT,
    takes=wire.FailureReport,
    status=202,
)
def report_failure(body: wire.FailureReport, round_id: RoundId) -> wire.FailureReply:
    """Give up the work of a place, and say why: the place is free for another device. The same report may be sent again."""
    return services().failures.report(round_id, caller(app), body)


@app.route("/v1/models/{model}/versions/{version}/metrics", methods=["POST"])
@speaks(
    wire.EvaluationReply,
    P.UNAUTHENTICATED,
    P.UNKNOWN_ROUND,
    P.UNKNOWN_VERSION,
    P.NOT_ASSIGNED,
    P.ROUND_CLOSED,
    P.REPORT_CONFLICT,
    takes=wire.EvaluationReport,
    status=202,
)
def report_metrics(body: wire.EvaluationReport, model: str, version: int) -> wire.EvaluationReply:
    """Report what a judge measured of one version; the same report may be sent again."""
    return services().judging.report(model, version, caller(app), body)


@app.route("/v1/health", methods=["GET"])
@speaks(wire.Health)
def health() -> wire.Health:
    """The API answers. It asks nothing of any store."""
    return wire.Health(release=__version__)


# ---- operators: tokens and clients


@app.route("/v1/admin/tokens", methods=["POST"], authorizer=operators)
@speaks(admin.MintedToken, takes=admin.MintToken, status=201)
def mint_token(body: admin.MintToken) -> admin.MintedToken:
    """Mint an enrolment token; its secret is in this reply and nowhere else."""
    return services().tokens.mint(body)


@app.route("/v1/admin/tokens", methods=["GET"], authorizer=operators)
@speaks(admin.TokenList, asks=admin.After)
def list_tokens(query: admin.After) -> admin.TokenList:
    """Enrolment tokens, without their secrets."""
    return services().tokens.page(query)


@app.route("/v1/admin/tokens/{token_id}/revoke", methods=["POST"], authorizer=operators)
@speaks(admin.TokenReply, P.UNKNOWN_TOKEN)
def revoke_token(token_id: str) -> admin.TokenReply:
    """Let a token admit nobody any more; who enrolled with it stays."""
    return services().tokens.revoke(token_id)


@app.route("/v1/admin/clients", methods=["GET"], authorizer=operators)
@speaks(admin.ClientList, asks=admin.ClientPage)
def list_clients(query: admin.ClientPage) -> admin.ClientList:
    """Clients, or only some of them."""
    return services().directory.page(query)


@app.route("/v1/admin/clients/{client_id}", methods=["GET"], authorizer=operators)
@speaks(admin.ClientReply, P.UNKNOWN_CLIENT)
def read_client(client_id: str) -> admin.ClientReply:
    """One client."""
    return services().directory.show(client_id)


@app.route("/v1/admin/clients/{client_id}/revoke", methods=["POST"], authorizer=operators)
@speaks(admin.ClientReply, P.UNKNOWN_CLIENT)
def revoke_client(client_id: str) -> admin.ClientReply:
    """Take a device's key away for good, and its updates out of rounds that still collect."""
    return services().revocation.revoke(client_id)


@app.route("/v1/admin/clients/{client_id}/release", methods=["POST"], authorizer=operators)
@speaks(admin.ClientReply, P.UNKNOWN_CLIENT)
def release_client(client_id: str) -> admin.ClientReply:
    """Let a client out of its quarantine, and forget its strikes; a repeat is the same."""
    return services().reputation.release(client_id)


@app.route("/v1/admin/statistics", methods=["GET"], authorizer=operators)
@speaks(admin.FleetStatistics)
def read_statistics() -> admin.FleetStatistics:
    """The fleet, counted: clients, active, by device type, rounds, samples."""
    return services().census.statistics()


@app.route("/v1/admin/cohorts", methods=["GET"], authorizer=operators)
@speaks(admin.CohortList)
def list_cohorts() -> admin.CohortList:
    """Cohorts, with their rules and sizes."""
    return services().cohorts.all()


@app.route("/v1/admin/cohorts/{cohort}", methods=["GET"], authorizer=operators)
@speaks(admin.CohortReply, P.UNKNOWN_COHORT)
def read_cohort(cohort: str) -> admin.CohortReply:
    """One cohort."""
    return services().cohorts.show(cohort)


@app.route("/v1/admin/cohorts/{cohort}", methods=["PUT"], authorizer=operators)
@speaks(admin.CohortReply, P.UNKNOWN_COHORT, P.COHORT_MOVED, P.TOO_MANY_COHORTS, takes=admin.SetCohort)
def set_cohort(body: admin.SetCohort, cohort: str) -> admin.CohortReply:
    """Make a cohort, or its next revision; the same again has the same answer."""
    return services().cohorts.set(cohort, body, operator(app))


@app.route("/v1/admin/fleet/pace", methods=["GET"], authorizer=operators)
@speaks(admin.FleetPace)
def read_pace() -> admin.FleetPace:
    """How often devices come now, within which bounds, and what it costs."""
    return services().fleet_paces.show()


@app.route("/v1/admin/fleet/pace", methods=["PUT"], authorizer=operators)
@speaks(admin.FleetPace, P.PACE_MOVED, P.PACE_UNFIT, takes=admin.SetPace)
def set_pace(body: admin.SetPace) -> admin.FleetPace:
    """Bound what the fleet sends; the same again has the same answer."""
    return services().fleet_paces.set(body, operator(app))


# ---- operators: models and rounds


@app.route("/v1/admin/checkpoints", methods=["POST"], authorizer=operators)
@speaks(wire.UploadGrant, takes=admin.CheckpointUpload)
def grant_checkpoint(body: admin.CheckpointUpload) -> wire.UploadGrant:
    """Get one presigned PUT for a checkpoint; 412 from the store means that it is there already."""
    return services().catalogue.grant_checkpoint(body)


@app.route("/v1/admin/models", methods=["POST"], authorizer=operators)
@speaks(
    admin.ModelStatus,
    P.UPLOAD_MISSING,
    P.CHECKPOINT_UNFIT,
    P.MODEL_EXISTS,
    P.SIGNING_FAILED,
    P.UNKNOWN_COHORT,
    takes=admin.CreateModel,
    status=201,
)
def create_model(body: admin.CreateModel) -> admin.ModelStatus:
    """Create a model whose version 0 is an uploaded checkpoint, and deploy that; the same again has the same answer."""
    services().catalogue.create(body, operator(app))
    return services().status.model(body.name)


@app.route("/v1/admin/models", methods=["GET"], authorizer=operators)
@speaks(admin.ModelList)
def list_models() -> admin.ModelList:
    """All models, by name."""
    return services().status.models()


@app.route("/v1/admin/models/{model}", methods=["GET"], authorizer=operators)
@speaks(admin.ModelStatus, P.UNKNOWN_MODEL)
def read_status(model: str) -> admin.ModelStatus:
    """A model, its training, what is deployed, its current round, the fleet, the open alerts, the last hour's metrics."""
    return services().status.model(model)


@app.route("/v1/admin/models/{model}/configurations", methods=["POST"], authorizer=operators)
@speaks(admin.ConfigurationReply, P.UNKNOWN_MODEL, P.UNKNOWN_COHORT, P.CONFIGURATION_MOVED, takes=admin.Configure)
def configure_model(body: admin.Configure, model: str) -> admin.ConfigurationReply:
    """Run a model's rounds so from the next one on; an open round goes on as it opened. The same again has the same answer."""
    return services().configurations.configure(model, body, operator(app))


@app.route("/v1/admin/models/{model}/configurations", methods=["GET"], authorizer=operators)
@speaks(admin.ConfigurationList, P.UNKNOWN_MODEL, asks=admin.Page)
def list_configurations(query: admin.Page, model: str) -> admin.ConfigurationList:
    """The history of a model's configuration, newest first; it only grows."""
    return services().configurations.page(model, query)


@app.route("/v1/admin/models/{model}/training", methods=["PUT"], authorizer=operators)
@speaks(admin.ModelStatus, P.UNKNOWN_MODEL, takes=admin.Training)
def set_training(body: admin.Training, model: str) -> admin.ModelStatus:
    """Start or stop training; an open round goes on to its end."""
    services().catalogue.set_training(model, body)
    return services().status.model(model)


@app.route("/v1/admin/models/{model}/rounds", methods=["GET"], authorizer=operators)
@speaks(admin.RoundList, P.UNKNOWN_MODEL, asks=admin.Page)
def list_rounds(query: admin.Page, model: str) -> admin.RoundList:
    """Rounds, newest first."""
    return services().status.rounds(model, query)


@app.route("/v1/admin/models/{model}/rounds/{round_number}", methods=["GET"], authorizer=operators)
@speaks(admin.RoundReply, P.UNKNOWN_MODEL, P.UNKNOWN_ROUND)
def read_round(model: str, round_number: int) -> admin.RoundReply:
    """One round: its phase, and what became of its places."""
    return services().status.round(model, round_number)


@app.route("/v1/admin/models/{model}/rounds/{round_number}/abandon", methods=["POST"], authorizer=operators)
@speaks(admin.RoundReply, P.UNKNOWN_MODEL, P.UNKNOWN_ROUND, P.ROUND_ENDED, takes=admin.AbandonRound)
def abandon_round(body: admin.AbandonRound, model: str, round_number: int) -> admin.RoundReply:
    """End an open round; what is deployed stays deployed."""
    services().abandonment.abandon(model, round_number, body)
    return services().status.round(model, round_number)


@app.route("/v1/admin/models/{model}/rounds/{round_number}/receipts", methods=["GET"], authorizer=operators)
@speaks(admin.RoundReceiptList, P.UNKNOWN_MODEL, P.UNKNOWN_ROUND, asks=admin.RoundReceiptsPage)
def list_receipts(query: admin.RoundReceiptsPage, model: str, round_number: int) -> admin.RoundReceiptList:
    """Who had a place in a round, and what became of it; perhaps only some of them."""
    return services().places.receipts(model, round_number, query)


@app.route("/v1/admin/models/{model}/rounds/{round_number}/judgements", methods=["GET"], authorizer=operators)
@speaks(admin.RoundJudgementList, P.UNKNOWN_MODEL, P.UNKNOWN_ROUND, asks=admin.RoundJudgementsPage)
def list_judgements(query: admin.RoundJudgementsPage, model: str, round_number: int) -> admin.RoundJudgementList:
    """Who judges a round's candidate, and what each measured."""
    return services().places.judgements(model, round_number, query)


@app.route("/v1/admin/models/{model}/rounds/{round_number}/files", methods=["GET"], authorizer=operators)
@speaks(
    admin.RoundFileList,
    P.UNKNOWN_MODEL,
    P.UNKNOWN_ROUND,
    P.NOTHING_PUBLISHED,
    P.UPDATES_DELETED,
    P.VERSION_DELETED,
    asks=admin.RoundFilesPage,
)
def list_round_files(query: admin.RoundFilesPage, model: str, round_number: int) -> admin.RoundFileList:
    """What a round's version was made of, each device's update included: private data, so a permission of its own."""
    return services().exports.page(model, round_number, query)


# ---- operators: versions and deployments


@app.route("/v1/admin/models/{model}/versions", methods=["POST"], authorizer=operators)
@speaks(
    admin.VersionReply,
    P.UNKNOWN_MODEL,
    P.UPLOAD_MISSING,
    P.CHECKPOINT_UNFIT,
    P.VERSION_EXISTS,
    takes=admin.RegisterVersion,
    status=201,
)
def register_version(body: admin.RegisterVersion, model: str) -> admin.VersionReply:
    """Make an uploaded checkpoint the model's next version, staged; the same again has the same answer."""
    return services().versions.register(model, body)


@app.route("/v1/admin/models/{model}/versions", methods=["GET"], authorizer=operators)
@speaks(admin.VersionList, P.UNKNOWN_MODEL, asks=admin.VersionPage)
def list_versions(query: admin.VersionPage, model: str) -> admin.VersionList:
    """Versions and their lineage, newest first, or only those in one state."""
    return services().versions.page(model, query)


@app.route("/v1/admin/models/{model}/versions/{version_ref}", methods=["GET"], authorizer=operators)
@speaks(admin.VersionReply, P.UNKNOWN_MODEL, P.UNKNOWN_VERSION)
def read_version(model: str, version_ref: str) -> admin.VersionReply:
    """One version, by number, id, alias or state: its lineage and its checkpoint."""
    return services().versions.show(model, version_ref)


@app.route("/v1/admin/models/{model}/versions/{version_ref}/pin", methods=["PUT"], authorizer=operators)
@speaks(admin.VersionReply, P.UNKNOWN_MODEL, P.UNKNOWN_VERSION, P.VERSION_DELETED, takes=admin.PinVersion)
def pin_version(body: admin.PinVersion, model: str, version_ref: str) -> admin.VersionReply:
    """Keep a version whatever else happens, or no longer; one that expires is kept again."""
    return services().versions.pin(model, version_ref, body)


@app.route("/v1/admin/models/{model}/retention", methods=["GET"], authorizer=operators)
@speaks(admin.RetentionReply, P.UNKNOWN_MODEL, asks=admin.RetentionPage)
def read_retention(query: admin.RetentionPage, model: str) -> admin.RetentionReply:
    """Which versions are kept and why, and which expire, as it is or as the model could be configured; nothing changes."""
    return services().retention.page(model, query)


@app.route("/v1/admin/models/{model}/deployments", methods=["POST"], authorizer=operators)
@speaks(
    admin.DeploymentReply,
    P.UNKNOWN_MODEL,
    P.UNKNOWN_VERSION,
    P.VERSION_DELETED,
    P.VERSION_IN_TRAINING,
    P.DEPLOYMENT_MOVED,
    P.ROLLOUT_GOES_ON,
    P.EXPERIMENTS_GO_ON,
    P.STRATEGY_UNFIT,
    P.SIGNING_FAILED,
    takes=admin.Deploy,
)
def deploy_version(body: admin.Deploy, model: str) -> admin.DeploymentReply:
    """Serve a version from now on, at once or step by step; the same again has the same answer."""
    return services().deployments.deploy(model, body, operator(app))


@app.route("/v1/admin/models/{model}/rollout", methods=["GET"], authorizer=operators)
@speaks(admin.RolloutStatus, P.UNKNOWN_MODEL, P.NO_ROLLOUT)
def read_rollout(model: str) -> admin.RolloutStatus:
    """The rollout that goes on: its step, and what the clients say of either version."""
    return services().rollout_view.show(model)


@app.route("/v1/admin/models/{model}/rollout", methods=["POST"], authorizer=operators)
@speaks(admin.DeploymentReply, P.UNKNOWN_MODEL, P.NO_ROLLOUT, P.DEPLOYMENT_MOVED, P.SIGNING_FAILED, takes=admin.MoveRollout)
def move_rollout(body: admin.MoveRollout, model: str) -> admin.DeploymentReply:
    """Pause, resume, promote or abort the rollout that goes on; the same again has the same answer."""
    return services().deployments.move(model, body, operator(app))


@app.route("/v1/admin/models/{model}/experiments", methods=["GET"], authorizer=operators)
@speaks(admin.ExperimentList, P.UNKNOWN_MODEL)
def list_experiments(model: str) -> admin.ExperimentList:
    """The experiments that go on, and what is known of each."""
    return services().experiments.all(model)


@app.route("/v1/admin/models/{model}/experiments", methods=["POST"], authorizer=operators)
@speaks(
    admin.DeploymentReply,
    P.UNKNOWN_MODEL,
    P.UNKNOWN_VERSION,
    P.UNKNOWN_COHORT,
    P.VERSION_DELETED,
    P.VERSION_IN_TRAINING,
    P.EXPERIMENT_UNFIT,
    P.EXPERIMENTS_OVERLAP,
    P.ROLLOUT_GOES_ON,
    P.DEPLOYMENT_MOVED,
    P.SIGNING_FAILED,
    takes=admin.StartExperiment,
)
def start_experiment(body: admin.StartExperiment, model: str) -> admin.DeploymentReply:
    """Begin an experiment: two or more versions at once; the same again has the same answer."""
    return services().experiments.start(model, body, operator(app))


@app.route("/v1/admin/models/{model}/experiments/{experiment}/end", methods=["POST"], authorizer=operators)
@speaks(
    admin.DeploymentReply,
    P.UNKNOWN_MODEL,
    P.UNKNOWN_EXPERIMENT,
    P.DEPLOYMENT_MOVED,
    P.SIGNING_FAILED,
    takes=admin.EndExperiment,
)
def end_experiment(body: admin.EndExperiment, model: str, experiment: str) -> admin.DeploymentReply:
    """End an experiment: its clients get the deployed version again; the same again has the same answer."""
    return services().experiments.end(model, experiment, body, operator(app))


@app.route("/v1/admin/models/{model}/rollbacks", methods=["POST"], authorizer=operators)
@speaks(
    admin.DeploymentReply,
    P.UNKNOWN_MODEL,
    P.NOTHING_TO_ROLL_BACK_TO,
    P.VERSION_DELETED,
    P.DEPLOYMENT_MOVED,
    P.SIGNING_FAILED,
    takes=admin.Rollback,
)
def roll_back(body: admin.Rollback, model: str) -> admin.DeploymentReply:
    """Go back along the history of deployments; the same again has the same answer."""
    return services().deployments.rollback(model, body, operator(app))


@app.route("/v1/admin/models/{model}/deployments", methods=["GET"], authorizer=operators)
@speaks(admin.DeploymentList, P.UNKNOWN_MODEL, asks=admin.Page)
def list_deployments(query: admin.Page, model: str) -> admin.DeploymentList:
    """The history of deployments, newest first; it only grows."""
    return services().deployments.page(model, query)


# ---- operators: why, metrics and alerts


@app.route("/v1/admin/overview", methods=["GET"], authorizer=operators)
@speaks(admin.Overview)
def read_overview() -> admin.Overview:
    """All models at a glance, what each waits for, and what concerns the whole stack."""
    return services().overviews.show()


@app.route("/v1/admin/models/{model}/why", methods=["GET"], authorizer=operators)
@speaks(admin.Why, P.UNKNOWN_MODEL)
def read_why(model: str) -> admin.Why:
    """What a model waits for, since when, what ends that, and what somebody should do."""
    return services().overviews.why(model)


@app.route("/v1/admin/models/{model}/metrics", methods=["GET"], authorizer=operators)
@speaks(admin.MetricReply, P.UNKNOWN_MODEL, P.UNKNOWN_METRIC, asks=admin.MetricQuery)
def query_metric(query: admin.MetricQuery, model: str) -> admin.MetricReply:
    """One metric over the last hours: count, mean, min, max, sum, and its recent points."""
    return services().metric_history.query(model, query)


@app.route("/v1/admin/models/{model}/objectives", methods=["GET"], authorizer=operators)
@speaks(admin.ObjectiveList, P.UNKNOWN_MODEL)
def read_objectives(model: str) -> admin.ObjectiveList:
    """How a model's service objectives stand over thirty days, and what is left of their error budgets."""
    return services().error_budgets.show(model)


@app.route("/v1/admin/models/{model}/thresholds", methods=["GET"], authorizer=operators)
@speaks(admin.ThresholdList, P.UNKNOWN_MODEL)
def list_thresholds(model: str) -> admin.ThresholdList:
    """What is watched, and how it stands."""
    return services().alerts.thresholds(model)


@app.route("/v1/admin/models/{model}/thresholds/{metric}", methods=["PUT"], authorizer=operators)
@speaks(admin.ThresholdReply, P.UNKNOWN_MODEL, P.UNKNOWN_METRIC, takes=admin.SetThreshold)
def set_threshold(body: admin.SetThreshold, model: str, metric: str) -> admin.ThresholdReply:
    """Watch a metric within bounds, or, without bounds, no more."""
    return services().alerts.set_threshold(model, metric, body)


@app.route("/v1/admin/models/{model}/alerts", methods=["GET"], authorizer=operators)
@speaks(admin.AlertList, P.UNKNOWN_MODEL)
def list_alerts(model: str) -> admin.AlertList:
    """Alerts that are open, and the last that were cleared."""
    return services().alerts.recent(model)


@app.route("/v1/admin/models/{model}/alerts/{metric}/acknowledge", methods=["POST"], authorizer=operators)
@speaks(admin.AlertReply, P.UNKNOWN_MODEL, P.NO_OPEN_ALERT)
def acknowledge_alert(model: str, metric: str) -> admin.AlertReply:
    """Note who looks after a metric's open alert."""
    return services().alerts.acknowledge(model, metric, operator(app))


@app.route("/v1/admin/models/{model}/alerts/{metric}/silence", methods=["PUT"], authorizer=operators)
@speaks(admin.SilenceReply, P.UNKNOWN_MODEL, P.UNKNOWN_METRIC, takes=admin.SetSilence)
def silence_alert(body: admin.SetSilence, model: str, metric: str) -> admin.SilenceReply:
    """Tell nobody of a metric's alerts for a while."""
    return services().alerts.silence(model, metric, body, operator(app))


@app.route("/v1/admin/alerts", methods=["GET"], authorizer=operators)
@speaks(admin.AlertList)
def list_alerts_of_stack() -> admin.AlertList:
    """Alerts of the stack itself that are open, and the last that were cleared."""
    return services().alerts.recent(admin.NO_MODEL)


@app.route("/v1/admin/alerts/{metric}/acknowledge", methods=["POST"], authorizer=operators)
@speaks(admin.AlertReply, P.NO_OPEN_ALERT)
def acknowledge_alert_of_stack(metric: str) -> admin.AlertReply:
    """Note who looks after an open alert of the stack."""
    return services().alerts.acknowledge(admin.NO_MODEL, metric, operator(app))


@app.route("/v1/admin/alerts/{metric}/silence", methods=["PUT"], authorizer=operators)
@speaks(admin.SilenceReply, P.UNKNOWN_METRIC, takes=admin.SetSilence)
def silence_alert_of_stack(body: admin.SetSilence, metric: str) -> admin.SilenceReply:
    """Tell nobody of an alert of the stack for a while."""
    return services().alerts.silence(admin.NO_MODEL, metric, body, operator(app))


@app.route("/v1/admin/alerts/test", methods=["POST"], authorizer=operators)
@speaks(admin.TestMessageReply)
def test_alerts() -> admin.TestMessageReply:
    """Send a message that says that messages arrive."""
    return services().alerts.test(operator(app))


# ---- operators: costs


@app.route("/v1/admin/cost", methods=["GET"], authorizer=operators)
@speaks(admin.CostReply, asks=admin.MonthQuery)
def read_cost(query: admin.MonthQuery) -> admin.CostReply:
    """What the stack has used in a month, by model and service, and how the month is likely to end."""
    return services().costs.of_stack(query)


@app.route("/v1/admin/models/{model}/cost", methods=["GET"], authorizer=operators)
@speaks(admin.ModelCostReply, P.UNKNOWN_MODEL, asks=admin.MonthQuery)
def read_model_cost(query: admin.MonthQuery, model: str) -> admin.ModelCostReply:
    """What a model has used in a month, day by day, and what its last rounds took."""
    return services().costs.of_model(model, query)


# ---- triggers


@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event: CloudWatchEvent) -> None:
    """Reconcile every model: do what is due."""
    services().coordinator.tick()


@app.schedule(Rate(1, unit=Rate.MINUTES))
def monitor(event: CloudWatchEvent) -> None:
    """Count the fleet, record what was measured, hold it against the thresholds."""
    services().monitor.run()


@app.on_sqs_message(queue="muster-inspections", batch_size=10)
def inspection_worker(event: SQSEvent) -> dict[str, Any]:
    """Inspect reported updates."""
    inspector = services().inspector
    settled: list[RoundId] = []

    def inspect(message: dict[str, Any]) -> None:
        round_id = RoundId.parse(message["round"])
        if round_id is None:
            raise ValueError(f"expected the id of a round in a message, got {message['round']!r}")
        metering.charge(round_id.model, round_id.number)
        with services().vitals.telling(round_id.model, "inspecting updates"):
            if inspector.inspect(round_id, message["client"]):
                settled.append(round_id)

    failures = each_message(event, inspect)
    with services().vitals.telling(None, "asking for looks"):
        inspector.ask_to_reconcile(settled)
    return failures


@app.on_sqs_message(queue="muster-work", batch_size=1)
def aggregation_worker(event: SQSEvent) -> dict[str, Any]:
    """Sum a part of an aggregation, look after a model (on every tick, or because somebody asked for it), or count a segment of
    the fleet.
    """

    def work(message: dict[str, Any]) -> None:
        if "tick" in message:
            services().coordinator.look_after(message["tick"])
            return
        if "census" in message:
            with services().vitals.telling(None, "counting the fleet"):
                services().census.help(message["census"], message["begins"])
            return
        if "reconcile" in message:
            services().coordinator.reconcile(message["reconcile"])
            return
        metering.charge(message["model"], message["number"])
        with services().vitals.telling(message["model"], "aggregating"):
            done = services().aggregating.work(
                message["model"], message["number"], message["plan"], message["stage"], message["part"]
            )
        if done:
            services().coordinator.reconcile(message["model"])

    return each_message(event, work)
