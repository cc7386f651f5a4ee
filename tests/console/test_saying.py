"""What went wrong, in one sentence."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, SSOTokenLoadError
from pydantic import ValidationError

from muster.console.saying import EXPECTED, LONGEST, bounded, sentence
from muster.http.errors import Insecure, Overloaded, Refused, Unreachable
from muster.operator.client import NoAddress
from muster.operator.signing import NotSigned, WrongClock
from muster.wire import admin
from muster.wire.messages import ProblemDocument


def refused(detail: str) -> Refused:
    document = ProblemDocument(
        type="urn:x", title="There is no such model", status=404, detail=detail, expected="one", got="none"
    )
    return Refused(document)


def invalid() -> ValidationError:
    try:
        admin.Training.model_validate({})
    except ValidationError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (refused("toy is not known"), "There is no such model: toy is not known."),
        (Unreachable("GET to a.example: HTTP 403", 403), "aws sts get-caller-identity says whose they are."),
        (Unreachable("GET to a.example: ConnectError"), "(GET to a.example: ConnectError); the console goes on asking."),
        (Overloaded("429", 429, 1.0), "asks for fewer requests"),
        (NotSigned("no AWS credentials were found"), "Requests cannot be signed: no AWS credentials were found."),
        (WrongClock("it is 9 minutes ahead"), "This machine's clock is wrong: it is 9 minutes ahead."),
        (SSOTokenLoadError(error_msg="expired"), "Requests cannot be signed: "),
        (invalid(), "install the server's release"),
        (NoAddress("none is given"), "No server was named: none is given."),
        (Insecure("x"), "No server was named: x."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_trouble_is_a_sentence_that_says_what_to_look_at(error: Exception, says: str) -> None:
    assert isinstance(error, EXPECTED)
    said = sentence(error)
    assert says in said
    assert said.endswith(".")


def test_no_sentence_holds_the_query_of_a_url_and_none_is_long() -> None:
    said = sentence(Unreachable("GET https://a.example/v?X-Amz-Signature=abc failed"))
    assert "X-Amz" not in said
    assert len(sentence(refused("x" * 5000))) <= LONGEST
    assert bounded("one\n two") == "one two."


def test_a_bug_is_not_expected() -> None:
    assert not issubclass(KeyError, EXPECTED)
    assert not issubclass(ClientError, EXPECTED)
