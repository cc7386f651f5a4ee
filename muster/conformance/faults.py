"""What goes wrong: each fault spoils one answer, and says what a device has to do then."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from muster.conformance.expecting import Expectation, again, instead
from muster.conformance.http import Answer, Spoil
from muster.conformance.requests import RoutedRequest, problem
from muster.wire.problems import MEDIA_TYPE, Problem

USES = ("grant", "metrics")
"""What a device does with a checkpoint that it trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One answer that is not the honest one."""

    spoil: Callable[[Answer], Answer]
    """Makes it of the honest one."""
    then: Callable[[RoutedRequest], Expectation]
    """What has to follow the request that met it."""
    happens: bool = True
    """Whether the server does what was asked for, though it does not say so."""
    kills: bool = False
    """Whether the device is killed then, and started again."""
    expires: bool = False
    """Whether the URL is good no more."""
    loses_upload: bool = False
    """Whether the store loses what was uploaded."""
    ends_step: bool = False
    """Whether the step is done with it."""
    endless: str = ""
    """The check that fails if a device goes on reading."""


def lost(check: str, *also: str, same: bool = True) -> Fault:
    """It was done, and the reply is lost. Who does not say the `same` again may also go on with one of some routes."""
    silent = Spoil.SILENT
    return Fault(
        spoil=lambda answer: replace(answer, spoil=silent), then=lambda request: again(check, request, *also, same=same)
    )


def busy(check: str, status: int, seconds: int, *, same: bool) -> Fault:
    """The API wants to be left alone for some seconds; then the `same` is sent again, or something like it."""
    headers = {"Retry-After": str(seconds), "Content-Type": "application/json"}
    busy_now = Answer(status=status, body=b'{"message":"Too many requests"}', headers=headers)
    return Fault(
        spoil=lambda _: busy_now, then=lambda request: again(check, request, same=same, seconds=seconds), happens=False
    )


def failing(check: str) -> Fault:
    """The server fails."""
    answer = problem(Problem.INTERNAL_ERROR, "the server failed; the same request may be sent again")
    return Fault(spoil=lambda _: answer, then=lambda request: again(check, request), happens=False)


def moved(check: str, to: Callable[[], str]) -> Fault:
    """A redirect, which a key must not follow."""
    return Fault(
        spoil=lambda _: Answer(status=307, body=b"", headers={"Location": to()}),
        then=lambda request: instead(check, request.route, "elsewhere"),
        happens=False,
    )


def closed(check: str) -> Fault:
    """The round has closed in the meantime."""
    answer = problem(Problem.ROUND_CLOSED, "the round takes no more updates; check in again for the next one")
    then = instead(check, "check-in", "grant", "report", "put")
    return Fault(spoil=lambda _: answer, then=lambda _: then, happens=False, ends_step=True)


def unheard_of(check: str) -> Fault:
    """A refusal with a name of a later release."""
    document = {"type": "urn:muster:problem:of-a-later-release", "title": "No", "status": 409, "detail": "not this time"}
    answer = Answer(status=409, body=json.dumps(document).encode(), headers={"Content-Type": MEDIA_TYPE})
    then = instead(check, "check-in", "grant", "report", "put")
    return Fault(spoil=lambda _: answer, then=lambda _: then, happens=False, ends_step=True)


def garbage(check: str) -> Fault:
    """A page of somebody who stands between."""
    answer = Answer(status=200, body=b"<html>We will be back soon.</html>", headers={"Content-Type": "text/html"})
    return Fault(spoil=lambda _: answer, then=lambda request: again(check, request), happens=False)


def vanished(check: str) -> Fault:
    """The upload is not there any more when it is reported."""
    answer = problem(Problem.UPLOAD_MISSING, "nothing with that digest was uploaded")

    def then(first: RoutedRequest) -> Expectation:
        def wrong(request: RoutedRequest) -> str | None:
            claims = request.route == "check-in" and request.said and request.said.reported == first.names[0]
            return "it says that it has reported what was refused" if claims else None

        return Expectation(check, lambda request: request.route in ("grant", "put", "check-in"), wrong)

    return Fault(spoil=lambda _: answer, then=then, happens=False, loses_upload=True)


def killed(check: str, may_go_on: Callable[[RoutedRequest], str | None]) -> Fault:
    """The device is killed in the middle of a request, and started again. `may_go_on` says what is wrong with a request."""

    def then(_: RoutedRequest) -> Expectation:
        return Expectation(check, lambda request: request.route in ("enrol", "heartbeat", "check-in"), may_go_on)

    return Fault(spoil=lambda answer: replace(answer, spoil=Spoil.SILENT), then=then, happens=False, kills=True)


# ---- of the store


def cut(check: str) -> Fault:
    """A body breaks off."""
    return Fault(spoil=lambda answer: replace(answer, spoil=Spoil.CUT), then=_read_again(check))


def changed(check: str, *whole: str) -> Fault:
    """A body of the right length and another content; `whole`: what has to be read instead, if not the same again."""
    return Fault(spoil=lambda answer: replace(answer, body=_flipped(answer.body)), then=_read_again(check, *whole))


def endless(check: str) -> Fault:
    """A body that begins right and does not end."""
    return Fault(spoil=lambda answer: replace(answer, spoil=Spoil.ENDLESS), then=_read_again(check), endless=check)


def packed(check: str) -> Fault:
    """A body with a content encoding that inflates to something else."""

    def spoil(answer: Answer) -> Answer:
        return replace(answer, body=gzip.compress(_flipped(answer.body)), headers={"Content-Encoding": "gzip"})

    return Fault(spoil=spoil, then=_read_again(check))


def expired(check: str, then: str) -> Fault:
    """The URL has expired: another one has to be asked for."""
    answer = Answer(status=403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    return Fault(spoil=lambda _: answer, then=lambda _: instead(check, then, "report", "metrics"), happens=False, expires=True)


def slow(check: str) -> Fault:
    """The store is busy."""
    answer = Answer(status=503, body=b"<Error><Code>SlowDown</Code></Error>")
    return Fault(spoil=lambda _: answer, then=lambda request: _before_report(check, request), happens=False)


def conflict(check: str) -> Fault:
    """Another PUT under the same key is under way; this is no problem document."""
    answer = Answer(
        status=409, body=b"<Error><Code>ConditionalRequestConflict</Code></Error>", headers={"Content-Type": "application/xml"}
    )
    return Fault(spoil=lambda _: answer, then=lambda request: _before_report(check, request), happens=False)


def _read_again(check: str, *whole: str) -> Callable[[RoutedRequest], Expectation]:
    def then(first: RoutedRequest) -> Expectation:
        def right(request: RoutedRequest) -> bool:
            return request.route in (whole or (first.route,)) and request.names == first.names

        def wrong(request: RoutedRequest) -> str | None:
            return f"{request.route} came, with a checkpoint that was never read right" if request.route in USES else None

        return Expectation(check, right, wrong)

    return then


def _before_report(check: str, first: RoutedRequest) -> Expectation:
    return instead(check, first.route, "report")


def _flipped(data: bytes) -> bytes:
    """One bit is another: the last one, which is one of a number, and of a delta's checksum."""
    return data[:-1] + bytes([data[-1] ^ 1])
