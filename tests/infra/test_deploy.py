"""What would make a deployment fail half-way is said before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.deploy import _parameter, api_url, check, code_bucket
from infra.errors import Stopped, told
from infra.stack import Account
from tests.infra.accounts import Aws


class Found:
    """A stack in some state."""

    def __init__(self, status: str | None, name: str = "muster") -> None:
        self._status = status
        self.name = name

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
        ({"status": "DELETE_FAILED"}, "make destroy STACK=muster"),
        ({"status": "UPDATE_ROLLBACK_FAILED"}, "continue-update-rollback --stack-name muster"),
        ({"status": "UPDATE_IN_PROGRESS"}, "wait until"),
        ({"aws": Aws(bucket=403), "BucketName": "mine"}, "taken by somebody else"),
        ({"aws": Aws(bucket=200), "BucketName": "mine"}, "a bucket mine already"),
        ({"aws": Aws(unreserved=103)}, "ReserveConcurrency=false"),
    ],
)
def test_what_would_fail_is_named_with_its_mending(case: Mapping[str, Any], says: str) -> None:
    with pytest.raises(Stopped, match=says):
        checked(**case)


@pytest.mark.parametrize("name", ["Muster", "1muster", "muster_2", "muster-", "-", "", "a" * 33, "müster"])
def test_a_stack_is_named_as_a_bucket_can_be(name: str) -> None:
    with pytest.raises(Stopped, match="32 at most"):
        check(Aws(), Found(None, name), {})  # type: ignore[arg-type]


def test_the_longest_name_of_a_stack_makes_the_longest_name_of_a_bucket() -> None:
    longest = Found(None, "a" * 32)
    check(Aws(), longest, {})  # type: ignore[arg-type]
    assert len(code_bucket(Aws(), longest)) == 63  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Stopped("there is no Python 3.13"), "muster: there is no Python 3.13"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "CreateStack"), "AccessDenied.*CreateStack"),
        (EndpointConnectionError(endpoint_url="https://sts"), "Could not connect"),
        (KeyboardInterrupt(), "goes on"),
    ],
)
def test_what_can_be_expected_ends_in_one_line_and_a_bug_in_its_traceback(error: BaseException, says: str) -> None:
    with pytest.raises(SystemExit, match=says) as ended, told():
        raise error
    assert "\n" not in str(ended.value)
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError
