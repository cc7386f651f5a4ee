"""Operators' requests are signed as AWS will check them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from muster.http.errors import Unreachable
from muster.operator import Operator
from muster.operator.signing import NotSigned, SigV4, WrongClock

URL = "https://abc123.execute-api.eu-north-1.amazonaws.com/v"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "a-session-token")


def verifies(request: httpx.Request, region: str) -> bool:
    """Whether the signature is the one that the secret key gives for what was sent, worked out anew from the request."""
    scope = request.headers["authorization"]
    signed = scope.split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: request.headers[name] for name in signed if name not in ("host", "x-amz-date", "x-amz-security-token")}
    again = AWSRequest(request.method, str(request.url), headers=headers, data=request.content)
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(KEYS.get_frozen_credentials(), "execute-api", region)
    again.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    again.headers["X-Amz-Security-Token"] = request.headers["x-amz-security-token"]
    canonical = signer.canonical_request(again)
    signature = signer.signature(signer.string_to_sign(again, canonical), again)
    return scope.endswith(f"Signature={signature}") and f"/{region}/execute-api/aws4_request" in scope


def test_a_request_is_signed_with_its_method_path_query_and_body() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"models": [], "tokens": [], "after": None})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    operator = Operator(URL, auth=SigV4(KEYS, "eu-north-1"), http=http)
    operator.models()
    list(operator.tokens())
    with pytest.raises(Exception, match="protocol"):
        operator.mint_token(3)
    assert [request.method for request in sent] == ["GET", "GET", "POST"]
    for request in sent:
        assert verifies(request, "eu-north-1")
        assert not verifies(request, "us-east-1")
    tampered = httpx.Request("POST", sent[2].url, headers=sent[2].headers, content=sent[2].content.replace(b"3", b"4"))
    assert not verifies(tampered, "eu-north-1")


def test_a_presigned_url_is_not_signed_again() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, content=b"")

    operator = Operator(URL, auth=SigV4(KEYS, "eu-north-1"), http=httpx.Client(transport=httpx.MockTransport(answer)))
    with pytest.raises(Exception, match="sha256"):
        operator._transport.read("https://bucket.s3.amazonaws.com/key?X-Amz-Signature=1", "0" * 64)
    assert "authorization" not in sent[0].headers


def test_the_region_is_the_given_one_or_the_urls_or_the_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert SigV4.of(URL)._region == "eu-north-1"
    assert SigV4.of("https://muster.example.org", region="eu-west-1")._region == "eu-west-1"
    with pytest.raises(NotSigned, match=r"muster\.example\.org"):
        SigV4.of("https://muster.example.org")
    config = tmp_path / "config"
    config.write_text("[profile fl]\nregion = ca-central-1\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert SigV4.of("https://muster.example.org", profile="fl")._region == "ca-central-1"


def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(NotSigned, match="no AWS credentials"):
        SigV4.of(URL)


NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def asked(clock: datetime, answer: httpx.Response) -> None:
    """Ask a server whose clock says noon, from a machine whose clock says something else."""
    http = httpx.Client(transport=httpx.MockTransport(lambda _: answer))
    Operator(URL, auth=SigV4(KEYS, "eu-north-1", lambda: clock), http=http).models()


@pytest.mark.parametrize(
    ("minutes", "told"), [(15, "15 minutes ahead of"), (-15, "15 minutes behind"), (6, "6 minutes ahead of")]
)
def test_an_operator_whose_clock_is_wrong_is_told_so(minutes: int, told: str) -> None:
    refusal = httpx.Response(403, json={"message": "Signature expired"}, headers={"Date": "Tue, 24 Nov 2026 12:00:00 GMT"})
    with pytest.raises(WrongClock, match=rf"{told} the server's.*expected about 2026-11-24 12:00:00 UTC"):
        asked(NOON + timedelta(minutes=minutes), refusal)


@pytest.mark.parametrize("headers", [{"Date": "Tue, 24 Nov 2026 12:00:00 GMT"}, {"Date": "noon"}, {}])
def test_a_refusal_for_another_reason_is_not_put_down_to_the_clock(headers: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="HTTP 403"):
        asked(NOON + timedelta(minutes=4), httpx.Response(403, headers=headers))


def test_a_wrong_clock_is_no_matter_where_the_server_lets_one_in() -> None:
    answer = httpx.Response(200, json={"models": []}, headers={"Date": "Tue, 24 Nov 2026 12:00:00 GMT"})
    asked(NOON + timedelta(days=1), answer)
