"""What would make a deployment fail half-way is said before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.deploy import _parameter, api_url, check
from infra.errors import Stopped
from infra.stack import Account


class Aws:
    """An account whose answers a test decides."""

    def __init__(self, *, unreserved: int = 1000, bucket: int = 404) -> None:
        self._unreserved = unreserved
        self._bucket = bucket

    def client(self, service: str) -> Aws:
        assert service in ("s3", "lambda")
        return self

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self._unreserved}}

    def head_bucket(self, Bucket: str) -> None:  # noqa: N803 (boto3's word)
        if self._bucket != 200:
            raise ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": self._bucket}}, "HeadBucket")  # type: ignore[typeddict-item]


class Found:
    """A stack in some state."""

    name = "muster"

    def __init__(self, status: str | None) -> None:
        self._status = status

    def described(self) -> dict[str, str] | None:
        return {"StackStatus": self._status} if self._status else None


def checked(aws: Aws | None = None, status: str | None = None, **parameters: str) -> None:
    check(aws or Aws(), Found(status), parameters)  # type: ignore[arg-type]


def test_a_sound_account_is_passed() -> None:
    checked()
    checked(status="UPDATE_COMPLETE")
    checked(BucketName="mine")


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ({"status": "ROLLBACK_COMPLETE"}, "make destroy STACK=muster"),
        ({"status": "UPDATE_IN_PROGRESS"}, "wait until"),
        ({"aws": Aws(bucket=403), "BucketName": "mine"}, "taken by somebody else"),
        ({"aws": Aws(bucket=200), "BucketName": "mine"}, "a bucket mine already"),
        ({"aws": Aws(unreserved=103)}, "ReserveConcurrency=false"),
    ],
)
def test_what_would_fail_is_named_with_its_mending(case: Mapping[str, Any], says: str) -> None:
    with pytest.raises(Stopped, match=says):
        checked(**case)


def test_what_is_not_asked_for_is_not_checked() -> None:
    checked(Aws(unreserved=104))
    checked(Aws(unreserved=10), ReserveConcurrency="false")
    checked(Aws(unreserved=10, bucket=200), status="CREATE_COMPLETE", BucketName="mine")


def test_without_credentials_or_region_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(Stopped, match="no AWS region"):
        Account()
    with pytest.raises(Stopped, match="no AWS credentials"):
        Account(region="eu-central-1")
    with pytest.raises(Stopped, match="nobody"):
        Account("nobody", "eu-central-1")


def test_the_api_is_where_the_outputs_say_and_an_emulators_is_at_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"EndpointURL": "https://abc.execute-api.eu-central-1.amazonaws.com/v/", "RestAPIId": "abc"}
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert api_url(outputs) == "https://abc.execute-api.eu-central-1.amazonaws.com/v"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:1")
    assert api_url(outputs) == "https://127.0.0.1:1/restapis/abc/v/_user_request_"


def test_a_parameter_has_a_name_and_a_value() -> None:
    assert _parameter("Stage=a=b") == ("Stage", "a=b")
    with pytest.raises(Exception, match="expected Name=Value"):
        _parameter("Stage")
