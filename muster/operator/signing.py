"""Signs operators' requests with AWS credentials (AWS Signature Version 4), by botocore's own signer.

The routes under `/v1/admin` are IAM-authorised: API Gateway lets a request pass whose signer may `execute-api:Invoke` that
route (API Gateway: "Control access to a REST API with IAM permissions").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

SERVICE = "execute-api"
_HOST = re.compile(r"[a-z0-9]+\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")


SIGNATURE_LIFE = timedelta(minutes=5)
"""How far a signature's time may lie from the server's (AWS IAM: "Troubleshoot Signature Version 4 signing")."""


class NotSigned(Exception):
    """A request cannot be signed: there are no credentials, or no region."""


class NoCredentials(NotSigned):
    """No credentials were found."""


class NoRegion(NotSigned):
    """Nothing says in which region the API is."""


class WrongClock(NotSigned):
    """This machine's clock is so far from the server's that no signature of it is taken."""


class SigV4(httpx.Auth):
    """Signs each request with the credentials of a profile, refreshed as botocore refreshes them."""

    requires_request_body = True

    def __init__(self, credentials: Credentials, region: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._credentials = credentials
        self._region = region
        self._now = now

    @classmethod
    def of(cls, url: str, profile: str | None = None, region: str | None = None) -> SigV4:
        """A signer for the API at `url`. The region is the one that the URL names, whatever else is set: no other signature is
        taken there. For a domain of one's own it is the given one, or the profile's.

        Raises:
            NoCredentials: none could be found.
            NoRegion: neither.
        """
        session = Session(profile=profile)
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentials(
                f"no AWS credentials were found for {f'profile {profile}' if profile else 'the default profile'}"
            )
        found = _HOST.fullmatch(httpx.URL(url).host)
        chosen = (found["region"] if found else None) or region or session.get_config_variable("region")
        if not chosen:
            raise NoRegion(f"no AWS region was found, and {httpx.URL(url).host} does not name one")
        return cls(credentials, chosen)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign one request: its method, path, query, host, content type and body.

        Raises:
            WrongClock: it was refused, and the answer's `Date` says why.
        """
        headers = {name: request.headers[name] for name in ("content-type",) if name in request.headers}
        signed = AWSRequest(request.method, str(request.url), headers=headers, data=request.content)
        SigV4Auth(self._credentials.get_frozen_credentials(), SERVICE, self._region).add_auth(signed)
        for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
            if name in signed.headers:
                request.headers[name] = signed.headers[name]
        answer = yield request
        if answer.status_code == HTTPStatus.FORBIDDEN:
            self._check_clock(answer.headers.get("date"))

    def _check_clock(self, date: str | None) -> None:
        """Compare the clock that signs with the server's (an HTTP date, or None: then nothing is known)."""
        try:
            theirs = parsedate_to_datetime(date or "")
        except ValueError:
            return
        ahead = self._now() - theirs.replace(tzinfo=UTC)
        if abs(ahead) > SIGNATURE_LIFE:
            minutes = f"{abs(ahead).total_seconds() / 60:.0f} minutes {'ahead of' if ahead > timedelta(0) else 'behind'}"
            raise WrongClock(
                f"this machine's clock is {minutes} the server's, and signatures are good for "
                f"{SIGNATURE_LIFE.total_seconds() / 60:.0f}: expected about {theirs:%Y-%m-%d %H:%M:%S} UTC, "
                f"got {self._now():%Y-%m-%d %H:%M:%S} UTC"
            )
