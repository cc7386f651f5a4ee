"""Answers of the stores are believed only when they are whole.

A body may break off. botocore's standard retry mode compares neither its length nor its checksum, and what is left of a JSON
text is parsed as an answer without members: of a read that is "no such row", which is never true of a read that failed. So

* `watch` makes a client hold every body against its Content-Length, and against `x-amz-crc32`, which comes with DynamoDB's;
* `insist` makes a call and asks for the members that its answer must have.

Both raise `BrokenAnswer`, and `insist` asks again for a while, as after a conflict of writes. So what is called through it must
be safe to repeat; every call here is, because writes know their own repeats (`dynamo`) and messages may come twice.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

ATTEMPTS = 4
"""How often a call is made whose answers are not whole. botocore makes some of them four times each; a request has 29 s."""

CONFLICTS = 8
"""How often a write is made that meets transactions at the same row; with the waits in between, about three seconds."""


class BrokenAnswer(Exception):
    """What a store answered is not whole. A write may have been done all the same."""


def watch(client: Any) -> Any:
    """A boto3 client that from now on raises `BrokenAnswer` for a body that is not whole; the client itself. Twice is once."""
    client.meta.events.register("after-call", _check, unique_id="muster-whole")
    return client


def insist(call: Callable[..., Any], *members: str, **request: Any) -> Any:
    """Make a call until its answer is whole and has these members.

    Raises:
        BrokenAnswer: it never was, in all attempts.
        botocore.exceptions.ClientError: refused, or in conflict with another write every time.
    """

    def once() -> Any:
        answer = call(**request)
        if missing := [name for name in members if name not in answer]:
            raise BrokenAnswer(f"expected an answer with {' and '.join(missing)}, got one without")
        return answer

    return _patiently(once)


def _check(http_response: Any, model: Any, **_: Any) -> None:
    """Hold a body against what came with it. One that is read later, and that of a HEAD, is not looked at."""
    if model.has_streaming_output or model.http.get("method") == "HEAD":
        return
    announced, checksum = (http_response.headers.get(name) for name in ("content-length", "x-amz-crc32"))
    if announced is not None and len(http_response.content) != int(announced):
        raise BrokenAnswer(f"{model.name}: expected a body of {announced} bytes, got {len(http_response.content)}")
    if checksum is not None and zlib.crc32(http_response.content) != int(checksum):
        raise BrokenAnswer(f"{model.name}: expected a body with CRC-32 {checksum}, got {zlib.crc32(http_response.content)}")


def _is_enough(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return state.attempt_number >= (CONFLICTS if error and _is_conflict(error) else ATTEMPTS)


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may be answered a moment later. What botocore itself tries again is not among these."""
    from botocore.parsers import ResponseParserError

    return isinstance(error, (BrokenAnswer, ResponseParserError)) or _is_conflict(error)


def _is_conflict(error: BaseException) -> bool:
    """Whether a write was refused only because a transaction was at the same row at that moment.

    botocore does not try these again (AWS: "Transaction conflict handling in DynamoDB").
    """
    answer = getattr(error, "response", None) or {}
    if answer.get("Error", {}).get("Code") == "TransactionConflictException":
        return True
    codes = {reason.get("Code") for reason in answer.get("CancellationReasons", [])}
    return "TransactionConflict" in codes and "ConditionalCheckFailed" not in codes


_patiently = Retrying(
    retry=retry_if_exception(_may_pass),
    stop=_is_enough,
    wait=wait_random_exponential(multiplier=0.02, max=1.0),
    reraise=True,
)
