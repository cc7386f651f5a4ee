"""Errors as a person needs them: what, why, and the command to type next."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from botocore.exceptions import BotoCoreError
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from muster.device.errors import DeviceError, Missing, Refused, Unreachable, Untrusted
from muster.operator.cli.session import NoAddress, Session
from muster.operator.export import OtherRound
from muster.operator.folder import NotAsExported
from muster.operator.recompute import CannotRecompute
from muster.operator.signing import NotSigned, WrongClock
from muster.wire.problems import Problem as P
from muster.wire.tensors import Unfit

EXPECTED = (
    DeviceError, Unfit, ValidationError, OSError, NoAddress, NotSigned, BotoCoreError,
    OtherRound, NotAsExported, CannotRecompute,
)  # fmt: skip
"""What a command may raise and a person can do something about. Anything else is a bug, and shows its traceback."""

REFUSED, USAGE, UNREACHABLE, UNTRUSTED, DIFFERENT = 1, 2, 3, 4, 5
"""Exit statuses."""

NEXT: dict[P, str] = {
    P.UNKNOWN_MODEL: "muster model list",
    P.UNKNOWN_ROUND: "muster round list {model}",
    P.UNKNOWN_VERSION: "muster version list {model}",
    P.UNKNOWN_CLIENT: "muster client list",
    P.UNKNOWN_TOKEN: "muster token list",
    P.UNKNOWN_METRIC: "muster status {model}",
    P.NO_OPEN_ALERT: "muster alerts list {model}",
    P.MODEL_EXISTS: "muster model show {name}",
    P.CHECKPOINT_UNFIT: "muster version show {model} deployed",
    P.UPLOAD_MISSING: "the same command again",
    P.VERSION_EXISTS: "muster version list {model}",
    P.VERSION_IN_TRAINING: "muster round show {model}",
    P.DEPLOYMENT_MOVED: "muster deployment list {model}, and decide again",
    P.NOTHING_TO_ROLL_BACK_TO: "muster deployment list {model}",
    P.ROUND_ENDED: "muster round show {model}",
    P.NOTHING_PUBLISHED: "muster round list {model}",
    P.UPDATES_DELETED: 'muster model create, with {{"keep_updates": true}} in the file of --config',
}
"""What to type after a refusal of an operators' route. A test proves that none is missing."""


def explain(error: BaseException, session: Session, console: Console) -> int:
    """Print an expected error, and return the exit status."""
    what, why, following, status = _words(error, session.names)
    for label, text in (("error", what), ("why", why), ("next", following)):
        line = Text(f"{label:<6}", style="bold red" if label == "error" else "bold")
        line.append(text, style="")
        console.print(line, highlight=False, soft_wrap=True)
    return status


def _words(error: BaseException, names: dict[str, Any]) -> tuple[str, str, str, int]:
    help_ = "muster --help"
    match error:
        case Refused(document=document, problem=problem):
            why = document.detail
            if document.expected or document.got:
                why += f" (expected {document.expected}, got {document.got})"
            known = defaultdict(lambda: "MODEL", {name: value for name, value in names.items() if isinstance(value, str)})
            following = NEXT[problem].format_map(known) if problem in NEXT else help_
            return document.title, why, following, REFUSED
        case Missing():
            return (
                "A file is no longer in the store",
                str(error),
                'a model whose configuration has "keep_updates": true',
                REFUSED,
            )
        case Unreachable() if "HTTP 403" in str(error):
            why = (
                f"{error}: these credentials may not invoke this route, the request is not signed, or a download's URL expired"
            )
            return "The server does not let you in", why, "aws sts get-caller-identity", UNREACHABLE
        case Unreachable():
            return "The server does not answer", str(error), "check --url (or MUSTER_URL) and the network", UNREACHABLE
        case Untrusted():
            return "What came is not what was announced; nothing was kept", str(error), "the same command again", UNTRUSTED
        case Unfit():
            return "The file is not a tensor file", str(error), "the same command with a safetensors file", USAGE
        case ValidationError():
            first = error.errors(include_url=False, include_context=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "value"
            return f"{field} is not valid", f"{first['msg']}, got {first['input']!r}", help_, USAGE
        case NotAsExported():
            return "Files are not what was exported", str(error), "muster round export, which fetches them again", UNTRUSTED
        case OtherRound():
            return "The folder is another round's", str(error), "the same command with another folder", USAGE
        case CannotRecompute():
            why = f"{error}: the version may be of another release, or of a site's own rule"
            return (
                "This installation cannot compute the version",
                why,
                "the same command where those rules are installed",
                USAGE,
            )
        case WrongClock():
            return "This machine's clock is wrong", str(error), "date -u, and set the clock", USAGE
        case NoAddress():
            return "No server was named", str(error), "muster --url http://127.0.0.1:8000 status", USAGE
        case OSError():
            return "A file cannot be used", str(error), "the same command with another file", USAGE
        case _:
            return "The request cannot be signed", str(error), "aws configure list", USAGE
