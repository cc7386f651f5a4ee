"""What went wrong, in one sentence for an operator. None holds a key, or a URL with a signature."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError
from pydantic import ValidationError

from muster.http.errors import Insecure, MusterError, Overloaded, Refused, Unreachable
from muster.operator.client import NoAddress
from muster.operator.signing import NotSigned, WrongClock

EXPECTED = (MusterError, ValidationError, NoAddress, NotSigned, BotoCoreError)
"""What asking may raise and a person can do something about. Anything else is a bug of the console's."""

LONGEST = 400


def sentence(error: BaseException) -> str:
    """What is wrong, and what to look at."""
    match error:
        case Refused(document=document):
            said = f"{document.title}: {document.detail}"
        case Unreachable(status=403):
            said = (
                "The server does not let you in: these credentials may not ask this, or are wrong. "
                "aws sts get-caller-identity says whose they are"
            )
        case Overloaded():
            said = "The server asks for fewer requests; the console goes on asking"
        case Unreachable():
            said = f"No usable answer comes from the server ({_bare(error)}); the console goes on asking"
        case WrongClock():
            said = f"This machine's clock is wrong: {_bare(error)}"
        case NotSigned() | BotoCoreError():
            said = f"Requests cannot be signed: {_bare(error)}"
        case ValidationError():
            said = "The server's answer is not one that this release knows: install the server's release of muster-fl"
        case NoAddress() | Insecure():
            said = f"No server was named: {_bare(error)}"
        case _:
            said = _bare(error)
    return bounded(said)


def bounded(text: str) -> str:
    """A text of a length that a page can show."""
    text = " ".join(text.split())
    short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return short if short.endswith((".", "…", "!", "?")) else f"{short}."


def _bare(error: BaseException) -> str:
    """An error's text up to the query of a URL, if there is one in it: a signature stands there."""
    return str(error).partition("?")[0]
