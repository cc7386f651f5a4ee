"""What is wrong between an operator and the cloud: each trouble has a sentence of its own, and its own mend."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from botocore import exceptions as aws
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from typer.testing import CliRunner

from infra.local.resources import template
from muster.cli import cloud_errors
from muster.cli.app import app
from muster.cli.session import Session
from muster.operator import Operator
from muster.operator.signing import NoCredentials, NoRegion, SigV4
from muster.wire.problems import MEDIA_TYPE
from tests.fleet import World
from tests.operator.terminal import Output

ANY_API = "https://api.example.org"


def typed(connect: Callable[[], Operator], status: int = 3) -> list[str]:
    """`muster model list`: what is told, line by line."""
    errors = Output()
    session = Session(connect, Console(file=Output()), Console(file=errors, width=160))
    assert CliRunner().invoke(app, ["model", "list"], obj=session).exit_code == status
    return errors.getvalue().splitlines()


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> Callable[[], Operator]:
    operator = Operator(ANY_API, http=httpx.Client(transport=httpx.MockTransport(answer)))
    operator._transport._sleep = lambda _: None
    return lambda: operator


def refusing(error: Exception) -> Callable[[], Operator]:
    def connect() -> Operator:
        raise error

    return connect


def problem(status: int, name: str, detail: str, **headers: str) -> httpx.Response:
    document = {"type": f"urn:muster:problem:{name}", "title": "A title", "status": status, "detail": detail}
    return httpx.Response(status, content=json.dumps(document), headers={"Content-Type": MEDIA_TYPE, **headers})


# ---- a server that answers, but not with what was asked for


def test_a_server_that_failed_is_not_told_as_one_that_does_not_answer() -> None:
    request = "5f2c7a90-11d4-4f6e-8c1b-9d6f6b1f2a10"
    what, why, following = typed(
        answering(lambda _: problem(500, "internal-error", "it has written down why\x1b[2J", **{"x-amzn-RequestId": request}))
    )
    assert what == "error The server failed: it answered with 500"
    assert why == f"why   GET to api.example.org: HTTP 500 (it has written down why [2J), request {request}"
    assert following.startswith("next  the same command again; aws logs tail /aws/lambda/STACK-api --since 10m")
    assert following.endswith(f"look for {request}")


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 65, "\x1b[31m"])
def test_a_request_id_that_can_be_none_is_not_told(request_id: str) -> None:
    told = typed(answering(lambda _: httpx.Response(502, headers=[(b"x-amzn-requestid", request_id.encode())])))
    assert told[:2] == ["error The server failed: it answered with 502", "why   GET to api.example.org: HTTP 502"]
    assert "look for" not in told[2]


def test_the_failure_of_the_servers_own_server_names_its_request(world: World) -> None:
    """Through the whole server: the document comes along."""

    def broken(operation: str, proceed: object) -> None:
        raise TimeoutError("DynamoDB is slow today")

    world.calls.between = broken
    world.operator._transport._sleep = lambda _: None
    what, why, _ = typed(lambda: world.operator)
    assert what == "error The server failed: it answered with 500"
    assert why.endswith("HTTP 500 (the server failed; it has written down why)")


def test_a_failure_that_has_a_name_has_its_own_mend() -> None:
    what, why, following = typed(answering(lambda _: problem(503, "signing-failed", "KMS said no")))
    assert what == "error The key that signs deployments cannot be used; the same request may be sent again"
    assert "KMS said no" in why
    assert "aws kms describe-key" in following


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_fewer_requests_is_asked_again_later(status: int) -> None:
    what, _, following = typed(answering(lambda _: httpx.Response(status)))
    assert (what, following) == (
        "error The server asks for fewer requests, or is not ready",
        "next  the same command in a minute",
    )


@pytest.mark.parametrize(
    "response", [httpx.Response(200, text="<html>welcome</html>"), httpx.Response(404, text="nothing here")]
)
def test_another_server_is_told_as_what_it_is(response: httpx.Response) -> None:
    what, why, following = typed(answering(lambda _: response))
    assert what == "error What answers there does not speak Muster's protocol"
    assert f"HTTP {response.status_code}" in why
    assert "check --url" in following


# ---- credentials, region, clock, network, permission: five troubles, five sentences


def test_without_credentials_it_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoCredentials):
        Operator.connect("https://abc.execute-api.eu-north-1.amazonaws.com/v")
    what, why, following = typed(lambda: Operator.connect("https://abc.execute-api.eu-north-1.amazonaws.com/v"), 2)
    assert what == "error There are no AWS credentials"
    assert why == "why   no AWS credentials were found for the default profile"
    assert following.startswith("next  aws configure, or aws sso login")


def test_the_region_that_an_address_names_is_the_only_one_that_is_good_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION is often set to another one, for other things; a signature for that one would be refused."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    signer = SigV4.of("https://abc.execute-api.eu-north-1.amazonaws.com/v", region="us-east-1")
    assert signer._region == "eu-north-1"
    assert SigV4.of("https://muster.example.org", region="us-east-1")._region == "us-east-1"


def test_without_a_region_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoRegion):
        Operator.connect("https://muster.example.org")
    what, _, following = typed(lambda: Operator.connect("https://muster.example.org"), 2)
    assert (what, following) == (
        "error No AWS region is known",
        "next  the same command with --region REGION, or AWS_REGION=REGION",
    )


def test_a_clock_that_is_15_minutes_off_is_told_as_that() -> None:
    theirs = format_datetime(datetime.now(UTC) - timedelta(minutes=15), usegmt=True)
    because = "the signature is not that of this request at this time"
    connect = answering(lambda _: problem(403, "forbidden", because, Date=theirs))
    connect()._transport._auth = SigV4(Credentials("AKIDEXAMPLE", "secret"), "eu-north-1")
    what, why, following = typed(connect, 2)
    assert (what, following) == ("error This machine's clock is wrong", "next  date -u, and set the clock")
    assert "this machine's clock is 15 minutes ahead of the server's" in why


def test_a_server_that_cannot_be_reached_is_told_as_that_and_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        operator = Operator(f"http://127.0.0.1:{taken.getsockname()[1]}")
        operator._transport._sleep = lambda _: None
        what, why, following = typed(lambda: operator)
    operator.close()
    assert what == "error The server does not answer"
    assert "Connection refused" in why
    assert following == "next  check --url (or MUSTER_URL) and the network"


@pytest.mark.parametrize(
    ("because", "told", "mend"),
    [
        ("the caller may not use this route", "You may not do that", "docs/operations.md has the permissions"),
        ("the signature is not that of this request at this time", "The signature is not taken", "--region REGION"),
        ("the credentials that signed the request have expired", "The AWS credentials have expired", "aws sso login"),
        ("the request is not signed as it must be, or by nobody who is known", "AWS does not know these credentials",
         "aws configure"),
        ("no route has this path and this method, or it asks for a signature", "A title", "aws sts get-caller-identity"),
    ],
)  # fmt: skip
def test_a_403_says_whether_permission_signature_or_credentials_are_missing(because: str, told: str, mend: str) -> None:
    what, why, following = typed(answering(lambda _: problem(403, "forbidden", because)), 1)
    assert what == f"error {told}"
    assert because in why
    assert mend in following


def test_what_a_403_means_is_held_against_what_the_gateway_says() -> None:
    definition = template()["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    said = {
        json.loads(kind["responseTemplates"]["application/json"])["detail"]
        for kind in definition["x-amazon-apigateway-gateway-responses"].values()
        if kind["statusCode"] == "403"
    }
    assert cloud_errors.FORBIDDEN.keys() < said
    assert said - cloud_errors.FORBIDDEN.keys() == {"no route has this path and this method, or it asks for a signature"}


def test_a_403_that_is_not_musters_names_what_it_may_be() -> None:
    what, why, _ = typed(answering(lambda _: httpx.Response(403, json={"message": "Forbidden"})))
    assert what == "error The server does not let you in"
    assert "may not invoke" in why


# ---- the same of commands that ask AWS without the server


def client_error(code: str, message: str = "said so") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Query")


OF_AWS: list[tuple[Exception, str, str]] = [
    (aws.NoCredentialsError(), "There are no AWS credentials", "aws configure"),
    (aws.PartialCredentialsError(provider="env", cred_var="secret"), "There are no AWS credentials", "aws configure"),
    (aws.ProfileNotFound(profile="x"), "There is no such AWS profile", "aws configure list-profiles"),
    (aws.UnauthorizedSSOTokenError(), "The AWS credentials have expired", "aws sso login"),
    (aws.NoRegionError(), "No AWS region is known", "--region REGION"),
    (aws.EndpointConnectionError(endpoint_url="https://x"), "AWS does not answer", "--region and the network"),
    (aws.ConnectTimeoutError(endpoint_url="https://x"), "AWS does not answer", "--region and the network"),
    (aws.ReadTimeoutError(endpoint_url="https://x"), "AWS does not answer", "--region and the network"),
    (aws.SSLError(endpoint_url="https://x", error=OSError("certificate")), "AWS does not answer", "--region and the network"),
    (client_error("ResourceNotFoundException"), "A table or the bucket is not there", "--region"),
    (client_error("NoSuchBucket"), "A table or the bucket is not there", "--region"),
    (client_error("PermanentRedirect"), "That is another region's", "--region REGION"),
    (client_error("SignatureDoesNotMatch", "Credential should be scoped to a valid region"),
     "That is another region's", "--region"),
    (client_error("RequestTimeTooSkewed"), "This machine's clock is wrong", "set the clock"),
    (client_error("InvalidSignatureException", "Signature expired: 2026 is now earlier than"),
     "This machine's clock is wrong", "date -u"),
    (client_error("SignatureDoesNotMatch", "Signature not yet current: 2027"), "This machine's clock is wrong", "date -u"),
    (client_error("SignatureDoesNotMatch"), "The signature is not taken", "aws sts"),
    (client_error("ExpiredTokenException"), "AWS does not know these credentials, or they have expired", "aws sso login"),
    (client_error("UnrecognizedClientException"), "AWS does not know these credentials, or they have expired", "aws sts"),
    (client_error("AccessDeniedException"), "You may not do that", "has the permissions"),
    (client_error("Teapot"), "AWS refuses", "has the permissions"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "told", "mend"), OF_AWS)
def test_each_trouble_with_aws_has_a_sentence_and_a_mend(error: Any, told: str, mend: str) -> None:
    status = (1, 2, 3)
    words = cloud_errors.of_botocore(error) if isinstance(error, BotoCoreError) else cloud_errors.of_client(error)
    assert words[0] == told
    assert words[1] == str(error)
    assert mend in words[2]
    assert words[3] in status
    assert typed(refusing(error), words[3])[0] == f"error {told}"
