"""Every route and every trigger of Muster, a few lines each: the table of contents.

A view reads its request, says it to a use case, and answers. What it may refuse has a name (`muster.wire.problems`).
"""

from functools import partial
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, IAMAuthorizer, Rate, Response, SQSEvent

from chalicelib.triggers import each_message
from chalicelib.web import caller, header, json_response, number, only_problems, page
from chalicelib.web import speaks as speaks_for
from chalicelib.wiring import services
from muster import __version__
from muster.wire import messages as wire
from muster.wire.problems import Problem as P

app = Chalice(app_name="muster")
app.register_middleware(only_problems, "http")
operators = IAMAuthorizer()
speaks = partial(speaks_for, app)


# ---- devices


@app.route("/v1/clients", methods=["POST"])
@speaks(wire.Enrolled, P.ENROLMENT_REFUSED, P.CLIENT_EXISTS, takes=wire.Enrolment, status=201)
def enrol(body: wire.Enrolment) -> wire.Enrolled:
    """Enrol a device: an enrolment token and a client id become a device key. The same again has the same answer."""
    return services().directory.enrol(body)


@app.route("/v1/heartbeat", methods=["POST"])
@speaks(wire.HeartbeatReply, P.UNAUTHENTICATED, P.UNKNOWN_MODEL, takes=wire.Heartbeat)
def heartbeat(body: wire.Heartbeat) -> wire.HeartbeatReply:
    """Say that a device lives; the reply says when to come again and what waits."""
    return services().serving.heartbeat(caller(app), body)


@app.route("/v1/models/{model}/checkin", methods=["POST"])
@speaks(wire.Assignment, P.UNAUTHENTICATED, P.UNKNOWN_MODEL, takes=wire.CheckIn)
def check_in(body: wire.CheckIn, model: str) -> wire.Assignment:
    """Ask for work: a place to train, a place to judge a candidate, or when to come back and why."""
    return services().checkin.check_in(model, caller(app), body)


@app.route("/v1/models/{model}", methods=["GET"])
@speaks(wire.ModelReply, P.UNAUTHENTICATED, P.UNKNOWN_MODEL)
def read_model(model: str) -> Response:
    """The version that the device should run; 304 when `If-None-Match` names it."""
    tag, reply = services().serving.model(model, caller(app), header(app, "if-none-match"))
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
    takes=wire.UploadRequest,
)
def grant_upload(body: wire.UploadRequest, round_id: str) -> wire.UploadGrant:
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
def report(body: wire.UpdateReport, round_id: str) -> wire.ReceiptReply:
    """Count an uploaded update toward its round; the same report may be sent again."""
    return services().updates.report(round_id, caller(app), body)


@app.route("/v1/rounds/{round_id}/report", methods=["GET"])
@speaks(wire.ReceiptReply, P.UNAUTHENTICATED, P.UNKNOWN_ROUND, P.NOT_ASSIGNED)
def read_receipt(round_id: str) -> wire.ReceiptReply:
    """Where the device's update stands, and why."""
    return services().updates.receipt(round_id, caller(app))


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
def report_metrics(body: wire.EvaluationReport, model: str, version: str) -> wire.EvaluationReply:
    """Report what a judge measured of one version; the same report may be sent again."""
    return services().evaluations.report(model, number(version, P.UNKNOWN_VERSION), caller(app), body)


@app.route("/v1/health", methods=["GET"])
@speaks(wire.Health)
def health() -> wire.Health:
    """The API answers. It asks nothing of any store."""
    return wire.Health(release=__version__)


# ---- operators


@app.route("/v1/admin/tokens", methods=["POST"], authorizer=operators)
@speaks(wire.MintedToken, takes=wire.MintToken, status=201)
def mint_token(body: wire.MintToken) -> wire.MintedToken:
    """Mint an enrolment token; its secret is in this reply and nowhere else."""
    return services().directory.mint(body)


@app.route("/v1/admin/clients/{client_id}/revoke", methods=["POST"], authorizer=operators)
@speaks(wire.ClientReply, P.UNKNOWN_CLIENT)
def revoke_client(client_id: str) -> wire.ClientReply:
    """Take a device's key away for good, and its updates out of rounds that still collect."""
    return services().revocation.revoke(client_id)


@app.route("/v1/admin/checkpoints", methods=["POST"], authorizer=operators)
@speaks(wire.UploadGrant, takes=wire.CheckpointUpload)
def grant_checkpoint(body: wire.CheckpointUpload) -> wire.UploadGrant:
    """Get one presigned PUT for a checkpoint; 412 from the store means that it is there already."""
    return services().catalogue.grant_checkpoint(body)


@app.route("/v1/admin/models", methods=["POST"], authorizer=operators)
@speaks(wire.ModelStatus, P.UPLOAD_MISSING, P.CHECKPOINT_UNFIT, P.MODEL_EXISTS, takes=wire.CreateModel, status=201)
def create_model(body: wire.CreateModel) -> wire.ModelStatus:
    """Create a model whose version 0 is an uploaded checkpoint, and deploy that; the same again has the same answer."""
    services().catalogue.create(body)
    return services().status.model(body.name)


@app.route("/v1/admin/models/{model}", methods=["GET"], authorizer=operators)
@speaks(wire.ModelStatus, P.UNKNOWN_MODEL)
def read_status(model: str) -> wire.ModelStatus:
    """A model, its training, what is deployed, and its current round."""
    return services().status.model(model)


@app.route("/v1/admin/models/{model}/training", methods=["PUT"], authorizer=operators)
@speaks(wire.ModelStatus, P.UNKNOWN_MODEL, takes=wire.Training)
def set_training(body: wire.Training, model: str) -> wire.ModelStatus:
    """Start or stop training; an open round goes on to its end."""
    services().catalogue.set_training(model, body)
    return services().status.model(model)


@app.route("/v1/admin/models/{model}/rounds", methods=["GET"], authorizer=operators)
@speaks(wire.RoundList, P.UNKNOWN_MODEL, P.INVALID_QUERY)
def list_rounds(model: str) -> wire.RoundList:
    """Rounds, newest first."""
    return services().status.rounds(model, page(app))


@app.route("/v1/admin/models/{model}/rounds/{round_number}", methods=["GET"], authorizer=operators)
@speaks(wire.RoundReply, P.UNKNOWN_MODEL, P.UNKNOWN_ROUND)
def read_round(model: str, round_number: str) -> wire.RoundReply:
    """One round: its phase, and what became of its places."""
    return services().status.round(model, number(round_number, P.UNKNOWN_ROUND))


@app.route("/v1/admin/models/{model}/versions", methods=["GET"], authorizer=operators)
@speaks(wire.VersionList, P.UNKNOWN_MODEL, P.INVALID_QUERY)
def list_versions(model: str) -> wire.VersionList:
    """Versions and their lineage, newest first."""
    return services().catalogue.versions(model, page(app))


@app.route("/v1/admin/models/{model}/versions/{version}", methods=["GET"], authorizer=operators)
@speaks(wire.VersionReply, P.UNKNOWN_MODEL, P.UNKNOWN_VERSION)
def read_version(model: str, version: str) -> wire.VersionReply:
    """One version, its lineage and its checkpoint."""
    return services().catalogue.version(model, number(version, P.UNKNOWN_VERSION))


# ---- triggers


@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event: CloudWatchEvent) -> None:
    """Look at every model and do what is due."""
    services().coordinator.tick()


@app.on_sqs_message(queue="muster-inspections", batch_size=10)
def inspection_worker(event: SQSEvent) -> dict[str, Any]:
    """Inspect reported updates."""
    inspector = services().inspector
    settled: list[str] = []

    def inspect(message: dict[str, Any]) -> None:
        if inspector.inspect(message["round"], message["client"]):
            settled.append(message["round"])

    failures = each_message(event, inspect)
    inspector.ask_for_looks(settled)
    return failures


@app.on_sqs_message(queue="muster-work", batch_size=1)
def aggregation_worker(event: SQSEvent) -> dict[str, Any]:
    """Sum a part of an aggregation, or take a look that somebody asked for."""

    def work(message: dict[str, Any]) -> None:
        if "look" not in message:
            services().aggregating.work(message["model"], message["number"], message["index"], message["count"])
        services().coordinator.look(message.get("look") or message["model"])

    return each_message(event, work)
