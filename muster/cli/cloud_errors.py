"""What AWS's own errors, and a server that cannot be reached or lets nobody in, mean to a person, and what mends each.

Credentials that are not there, another region, a clock that is wrong, a network without an answer and a permission that is
missing look alike from afar, and each has a mend of its own.
"""

from __future__ import annotations

import re

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from muster.http.errors import Overloaded, Unreachable
from muster.operator.signing import NoCredentials, NoRegion, NotSigned, WrongClock
from muster.wire.messages import ProblemDocument

Words = tuple[str, str, str, int]
"""What, why, the command to type next, the exit status."""

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

WHO = "aws sts get-caller-identity"
SIGN_IN = "aws configure, or aws sso login; another profile: muster --profile NAME, of aws configure list-profiles"
REGION = "the same command with --region REGION, or AWS_REGION=REGION"
CLOCK = "date -u, and set the clock"
LOGS = "aws logs tail /aws/lambda/STACK-api --since 10m; of make cloud: what it prints"

FORBIDDEN = {
    "the signature is not that of this request at this time": (
        "The signature is not taken",
        "signed for another region than the API's, or with a secret that is not the key's",
        f"{REGION}; {WHO}",
    ),
    "the credentials that signed the request have expired": (
        "The AWS credentials have expired",
        "they were temporary",
        SIGN_IN,
    ),
    "the request is not signed as it must be, or by nobody who is known": (
        "AWS does not know these credentials",
        "the key was deleted, or is of another partition of AWS",
        f"{WHO}; {SIGN_IN}",
    ),
    "the caller may not use this route": (
        "You may not do that",
        "the AWS identity that signs has no permission to invoke this route",
        f"{WHO}; docs/operations.md has the permissions",
    ),
}
"""By what the gateway says (infra/resources.yaml; a test holds both together): what it is, why, and what mends it."""

_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_CREDENTIALS = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "UnrecognizedClientException", "AuthFailure",
})  # fmt: skip
_SIGNATURE = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"})
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"})
_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"})


def of_forbidden(document: ProblemDocument) -> Words | None:
    """What a 403 of the API means, or None when it says nothing of who asks."""
    known = FORBIDDEN.get(document.detail)
    return None if known is None else (known[0], f"{document.detail}: {known[1]}", known[2], REFUSED)


def of_unreachable(error: Unreachable) -> Words:
    """What an answer that is none means: nothing came, or a failure of the server, or what is no answer of Muster's."""
    why, status = str(error), error.status
    if status is None:
        return "The server does not answer", why, "check --url (or MUSTER_URL) and the network", UNREACHABLE
    if status == 403:
        why += ": these credentials may not invoke this route, the request is not signed, or a download's URL expired"
        return "The server does not let you in", why, WHO, UNREACHABLE
    if isinstance(error, Overloaded):
        return "The server asks for fewer requests, or is not ready", why, "the same command in a minute", UNREACHABLE
    if status >= 500:
        logs = f"{LOGS}; look for {error.request_id}" if error.request_id else LOGS
        return f"The server failed: it answered with {status}", why, f"the same command again; {logs}", UNREACHABLE
    return (
        "What answers there does not speak Muster's protocol",
        f"{why} (HTTP {status})" if "HTTP" not in why else why,
        "check --url (or MUSTER_URL): ApiUrl of the stack's outputs; muster --version",
        UNREACHABLE,
    )


def of_signing(error: NotSigned) -> Words:
    """Why a request cannot be signed on this machine."""
    match error:
        case NoCredentials():
            return "There are no AWS credentials", str(error), SIGN_IN, USAGE
        case NoRegion():
            return "No AWS region is known", str(error), REGION, USAGE
        case WrongClock():
            return "This machine's clock is wrong", str(error), CLOCK, USAGE
        case _:
            return "The request cannot be signed", str(error), "aws configure list", USAGE


def of_botocore(error: BotoCoreError) -> Words:
    """What AWS's library says before any service has answered."""
    why = str(error)
    match error:
        case aws.ProfileNotFound():
            return "There is no such AWS profile", why, "aws configure list-profiles", USAGE
        case aws.NoCredentialsError() | aws.PartialCredentialsError() | aws.CredentialRetrievalError():
            return "There are no AWS credentials", why, SIGN_IN, USAGE
        case aws.SSOError() | aws.TokenRetrievalError() | aws.LoginError():
            return "The AWS credentials have expired", why, SIGN_IN, USAGE
        case aws.BaseEndpointResolverError() | aws.InvalidRegionError() | aws.UnknownRegionError():
            return "No AWS region is known", why, REGION, USAGE
        case aws.HTTPClientError() | aws.ConnectionError() | aws.EndpointProviderError():
            return "AWS does not answer", why, "check --region and the network", UNREACHABLE
        case _:
            return "AWS cannot be asked", why, "aws configure list", USAGE


def of_client(error: ClientError) -> Words:
    """What a service of AWS refuses."""
    code, why = str(error.response["Error"]["Code"]), str(error)
    if code in ("ResourceNotFoundException", "NoSuchBucket"):
        return "A table or the bucket is not there", why, "check --stack, or the names, and --region", USAGE
    if code in _CLOCK or (code in _SIGNATURE and re.search(r"expired|not yet current", why)):
        return "This machine's clock is wrong", why, CLOCK, USAGE
    if code in _CREDENTIALS:
        return "AWS does not know these credentials, or they have expired", why, f"{WHO}; {SIGN_IN}", REFUSED
    if code in _REGION or (code in _SIGNATURE and "region" in why):
        return "That is another region's", why, REGION, USAGE
    if code in _SIGNATURE:
        return "The signature is not taken", why, f"{WHO}; {SIGN_IN}", REFUSED
    if code in _FORBIDDEN:
        return "You may not do that", why, f"{WHO}; docs/operations.md has the permissions", REFUSED
    return "AWS refuses", why, f"{WHO}; docs/operations.md has the permissions", REFUSED
