"""Every route and every trigger of Muster, a few lines each: the table of contents.

A view reads its request, says it to a use case, and answers. What it may refuse has a name (`muster.wire.problems`).
"""

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, IAMAuthorizer, Rate, Response, SQSEvent

from chalicelib.triggers import each_message
from chalicelib.web import answers_problems, caller, header, json_response, number, only_problems, page, parse
from chalicelib.wiring import services
from muster import __version__
from muster.wire import messages as wire
from muster.wire.problems import Problem

app = Chalice(app_name="muster")
app.register_middleware(only_problems, "http")
operators = IAMAuthorizer()


# ---- devices


@app.route("/v1/clients", methods=["POST"])
@answers_problems
def enrol() -> Response:
    """Enrol a device: an enrolment token and a client id become a device key. The same again has the same answer."""
    return json_response(services().directory.enrol(parse(app, wire.Enrolment)), 201)


@app.route("/v1/heartbeat", methods=["POST"])
@answers_problems
def heartbeat() -> Response:
    """Say that a device lives; the reply says when to come again and what waits."""
    return json_response(services().serving.heartbeat(caller(app), parse(app, wire.Heartbeat)))


@app.route("/v1/models/{model}/checkin", methods=["POST"])
@answers_problems
def check_in(model: str) -> Response:
    """Ask for work: a place to train, a place to judge a candidate, or when to come back and why."""
    return json_response(services().checkin.check_in(model, caller(app), parse(app, wire.CheckIn)))


@app.route("/v1/models/{model}", methods=["GET"])
@answers_problems
def read_model(model: str) -> Response:
    """The version that the device should run; 304 when `If-None-Match` names it."""
    tag, reply = services().serving.model(model, caller(app), header(app, "if-none-match"))
    return json_response(reply, 200, {"ETag": tag}) if reply else Response("", {"ETag": tag}, 304)


@app.route("/v1/rounds/{round_id}/upload", methods=["POST"])
@answers_problems
def grant_upload(round_id: str) -> Response:
    """Declare an update and get one presigned PUT for exactly those bytes."""
    return json_response(services().updates.grant(round_id, caller(app), parse(app, wire.UploadRequest)))


@app.route("/v1/rounds/{round_id}/report", methods=["POST"])
@answers_problems
def report(round_id: str) -> Response:
    """Count an uploaded update toward its round; the same report may be sent again."""
    return json_response(services().updates.report(round_id, caller(app), parse(app, wire.UpdateReport)), 202)


@app.route("/v1/rounds/{round_id}/report", methods=["GET"])
@answers_problems
def read_receipt(round_id: str) -> Response:
    """Where the device's update stands, and why."""
    return json_response(services().updates.receipt(round_id, caller(app)))


@app.route("/v1/models/{model}/versions/{version}/metrics", methods=["POST"])
@answers_problems
def report_metrics(model: str, version: str) -> Response:
    """Report what a judge measured of one version; the same report may be sent again."""
    at = number(version, Problem.UNKNOWN_VERSION)
    return json_response(services().evaluations.report(model, at, caller(app), parse(app, wire.EvaluationReport)), 202)


@app.route("/v1/health", methods=["GET"])
@answers_problems
def health() -> Response:
    """The API answers. It asks nothing of any store."""
    return json_response(wire.Health(release=__version__))


# ---- operators


@app.route("/v1/admin/tokens", methods=["POST"], authorizer=operators)
@answers_problems
def mint_token() -> Response:
    """Mint an enrolment token; its secret is in this reply and nowhere else."""
    return json_response(services().directory.mint(parse(app, wire.MintToken)), 201)


@app.route("/v1/admin/clients/{client_id}/revoke", methods=["POST"], authorizer=operators)
@answers_problems
def revoke_client(client_id: str) -> Response:
    """Take a device's key away for good, and its updates out of rounds that still collect."""
    return json_response(services().revocation.revoke(client_id))


@app.route("/v1/admin/checkpoints", methods=["POST"], authorizer=operators)
@answers_problems
def grant_checkpoint() -> Response:
    """Get one presigned PUT for a checkpoint; 412 from the store means that it is there already."""
    return json_response(services().catalogue.grant_checkpoint(parse(app, wire.CheckpointUpload)))


@app.route("/v1/admin/models", methods=["POST"], authorizer=operators)
@answers_problems
def create_model() -> Response:
    """Create a model whose version 0 is an uploaded checkpoint, and deploy that; the same again has the same answer."""
    body = parse(app, wire.CreateModel)
    services().catalogue.create(body)
    return json_response(services().status.model(body.name), 201)


@app.route("/v1/admin/models/{model}", methods=["GET"], authorizer=operators)
@answers_problems
def read_status(model: str) -> Response:
    """A model, its training, what is deployed, and its current round."""
    return json_response(services().status.model(model))


@app.route("/v1/admin/models/{model}/training", methods=["PUT"], authorizer=operators)
@answers_problems
def set_training(model: str) -> Response:
    """Start or stop training; an open round goes on to its end."""
    services().catalogue.set_training(model, parse(app, wire.Training))
    return json_response(services().status.model(model))


@app.route("/v1/admin/models/{model}/rounds", methods=["GET"], authorizer=operators)
@answers_problems
def list_rounds(model: str) -> Response:
    """Rounds, newest first."""
    return json_response(services().status.rounds(model, page(app)))


@app.route("/v1/admin/models/{model}/rounds/{round_number}", methods=["GET"], authorizer=operators)
@answers_problems
def read_round(model: str, round_number: str) -> Response:
    """One round: its phase, and what became of its places."""
    return json_response(services().status.round(model, number(round_number, Problem.UNKNOWN_ROUND)))


@app.route("/v1/admin/models/{model}/versions", methods=["GET"], authorizer=operators)
@answers_problems
def list_versions(model: str) -> Response:
    """Versions and their lineage, newest first."""
    return json_response(services().catalogue.versions(model, page(app)))


@app.route("/v1/admin/models/{model}/versions/{version}", methods=["GET"], authorizer=operators)
@answers_problems
def read_version(model: str, version: str) -> Response:
    """One version, its lineage and its checkpoint."""
    return json_response(services().catalogue.version(model, number(version, Problem.UNKNOWN_VERSION)))


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
