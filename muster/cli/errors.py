"""Errors as a person needs them: what, why, and the command to type next."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from muster.cli import cloud_errors, inputs
from muster.cli.cloud_errors import REFUSED, UNREACHABLE, USAGE
from muster.cli.console import NoConsole
from muster.cli.places import NoServer
from muster.cli.session import Session
from muster.device.errors import TrainerFailed
from muster.flower.errors import BadApp, FlowerError, NoFlower, OtherRun, RunDiverged, UnfitReply, Unmapped
from muster.http.errors import Insecure, Missing, MusterError, Refused, Unreachable, Untrusted
from muster.operator.backup.errors import (
    BackupError,
    DoesNotHold,
    NoBackup,
    NoStack,
    NotAsBackedUp,
    NotEmpty,
    OtherRestore,
    OtherStack,
    UnknownRow,
    Unsteady,
)
from muster.operator.client import NoAddress, UnknownExperiment
from muster.operator.export import OtherRound
from muster.operator.extras import NotInstalled
from muster.operator.folder import NotAsExported
from muster.operator.recompute import CannotRecompute
from muster.operator.signing import NotSigned
from muster.project.writing import NotStarted
from muster.simulation.errors import BadPlan, NoApp, Stuck
from muster.wire.problems import Problem as P
from muster.wire.tensors import Unfit

EXPECTED = (
    MusterError, Unfit, ValidationError, OSError, NoAddress, UnknownExperiment, NotSigned, BotoCoreError,
    OtherRound, NotAsExported, CannotRecompute, BackupError, NotAsBackedUp, ClientError,
    NoApp, BadPlan, NoServer, NoConsole, NotInstalled, Stuck, TrainerFailed, NotStarted, FlowerError,
)  # fmt: skip
"""What a command may raise and a person can do something about. Anything else is a bug, and shows its traceback."""

UNTRUSTED, DIFFERENT = 4, 5
"""Exit statuses, beside those of `cloud_errors`."""

NEXT: dict[P, str] = {
    P.FORBIDDEN: "aws sts get-caller-identity",
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
    P.VERSION_DELETED: "muster model retention {model}",
    P.CONFIGURATION_MOVED: "muster model history {model}, and decide again",
    P.DEPLOYMENT_MOVED: "muster deployment list {model}, and decide again",
    P.NOTHING_TO_ROLL_BACK_TO: "muster deployment list {model}",
    P.ROLLOUT_GOES_ON: "muster rollout show {model}; muster rollout promote {model}, or abort",
    P.NO_ROLLOUT: "muster deployment list {model}",
    P.STRATEGY_UNFIT: "muster deploy --help",
    P.SIGNING_FAILED: "the same command again; then aws kms describe-key --key-id KEY, SigningKeyArn of the stack's outputs",
    P.EXPERIMENTS_GO_ON: "muster experiment list {model}; muster experiment end {model} NAME",
    P.EXPERIMENTS_OVERLAP: "muster experiment list {model}; muster cohort list",
    P.EXPERIMENT_UNFIT: "muster experiment start --help",
    P.UNKNOWN_EXPERIMENT: "muster experiment list {model}",
    P.UNKNOWN_COHORT: "muster cohort list",
    P.PACE_MOVED: "muster fleet, and decide again",
    P.PACE_UNFIT: "muster fleet plan --clients N",
    P.COHORT_MOVED: "muster cohort show {cohort}, and decide again",
    P.TOO_MANY_COHORTS: "muster cohort list",
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
        case BackupError() | NotAsBackedUp():
            return _of_backup(error, names)
        case ClientError():
            return cloud_errors.of_client(error)
        case FlowerError():
            return _of_flower(error)
        case Refused(document=document, problem=P.FORBIDDEN) if words := cloud_errors.of_forbidden(document):
            return words
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
        case Unreachable(problem=P() as problem) if problem in NEXT:
            return problem.kind.title, str(error), NEXT[problem], UNREACHABLE
        case Unreachable():
            return cloud_errors.of_unreachable(error)
        case Insecure():
            return "A file would be read in the clear; nothing was sent", str(error), help_, UNTRUSTED
        case Untrusted():
            return "What came is not what was announced; nothing was kept", str(error), "the same command again", UNTRUSTED
        case Unfit():
            return "The file is not a tensor file", str(error), "the same command with a safetensors file", USAGE
        case ValidationError():
            return (*inputs.wrong(error), help_, USAGE)
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
        case NotSigned():
            return cloud_errors.of_signing(error)
        case BotoCoreError():
            return cloud_errors.of_botocore(error)
        case NoApp():
            return "There is no app to run", str(error), "a file that says app = muster.App(…)", USAGE
        case BadPlan():
            return "That cannot be simulated", str(error), "muster simulate --help", USAGE
        case NotStarted():
            return "No project was begun", str(error), "muster init my-model", USAGE
        case NoConsole():
            return "The console is not installed", str(error), "pip install 'muster-fl[console]'", USAGE
        case NotInstalled():
            return "What draws is not installed", str(error), "pip install 'muster-fl[notebook]'", USAGE
        case NoServer():
            return "The server is not here", str(error), "pip install muster-server", USAGE
        case Stuck():
            return (
                "The run does not come to its end",
                str(error),
                "the same with a smaller quorum in the app's config",
                DIFFERENT,
            )
        case TrainerFailed():
            return "A trainer failed", str(error), "the same command with --processes 0, for a debugger", DIFFERENT
        case UnknownExperiment():
            model = names.get("model", "MODEL")
            return "There is no such experiment", str(error), f"muster experiment list {model}", REFUSED
        case NoAddress():
            return "No server was named", str(error), "muster --url http://127.0.0.1:8000 status", USAGE
        case OSError():
            return "A file cannot be used", str(error), "the same command with another file", USAGE
        case _:
            raise AssertionError(f"no words for {type(error).__name__}") from error


def _of_flower(error: FlowerError) -> tuple[str, str, str, int]:
    why, elsewhere = str(error), "the same command with another --state folder"
    match error:
        case NoFlower():
            return "Flower is not installed", why, "pip install 'muster-fl[operator,flower]'", USAGE
        case BadApp():
            return "The app cannot be run so", why, "muster flower run --help", USAGE
        case UnfitReply():
            return "A reply of the ClientApp cannot be used", why, "the same command, when the app returns what fits", REFUSED
        case Unmapped():
            return "The strategy does not map to Muster's rules", why, "the same command without --url: it runs as it is", USAGE
        case RunDiverged():
            return "The ServerApp does not do what it did before", why, f"{elsewhere}, which begins anew", DIFFERENT
        case OtherRun():
            return "The state folder cannot be used", why, elsewhere, USAGE
        case _:
            return "The app did not come to its end", why, "the same command, which goes on", REFUSED


def _of_backup(error: BaseException, names: dict[str, Any]) -> tuple[str, str, str, int]:
    why, folder = str(error), names.get("folder", "DIR")
    match error:
        case NoStack():
            return "The stack's tables are not known", why, "aws cloudformation describe-stacks", USAGE
        case NoBackup():
            return "There is no backup", why, "muster backup DIR, or the same command with another folder", USAGE
        case OtherStack():
            return "The folder is not this stack's backup", why, "the same command with another folder", USAGE
        case UnknownRow():
            return (
                "A row is of an unknown kind",
                why,
                "pip install --upgrade 'muster-fl[operator]', to the stack's release",
                USAGE,
            )
        case NotAsBackedUp():
            return (
                "Files are not what was backed up",
                why,
                "muster backup into that folder again, or another copy of it",
                UNTRUSTED,
            )
        case DoesNotHold():
            return "What is stored does not hold together", why, f"muster backup {folder} --verify", UNTRUSTED
        case NotEmpty():
            return "The target is not empty; nothing was written", why, "the same command with the name of a new stack", REFUSED
        case OtherRestore():
            return (
                "Another backup is being restored there; nothing was written",
                why,
                "the same command with that backup",
                REFUSED,
            )
        case Unsteady():
            return "A model never stood still", why, "the same command again", UNREACHABLE
        case _:
            raise AssertionError(f"no words for {type(error).__name__}") from error
