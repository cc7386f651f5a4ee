"""Every key. A row's or object's place is made here and nowhere else, and `docs/data-model.md` is generated from this file.

All tables have a partition key `pk` and a sort key `sk`, both text. Numbers inside keys have eight digits, so that the
order of text is the order of numbers. Nothing is ever found by a scan: what must be listed shares a partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Key = dict[str, str]


@dataclass(frozen=True, slots=True)
class RowKind:
    """A kind of row: its table, its key templates, and what a reader of the table should know of it."""

    name: str
    table: Literal["clients", "rounds", "versions"]
    pk: str
    sk: str
    row: str
    """Module and class of what it holds."""
    about: str

    def key(self, **parts: object) -> Key:
        """The key of one row; `parts` fill the templates."""
        return {"pk": self.pk.format(**parts), "sk": self.sk.format(**parts)}

    def partition(self, **parts: object) -> str:
        """The partition in which the rows of this kind lie."""
        return self.pk.format(**parts)

    @property
    def prefix(self) -> str:
        """What the sort keys of all rows of this kind begin with."""
        return self.sk.split("{", 1)[0]


CLIENT = RowKind(
    "client", "clients", "client#{client}", "client", "chalicelib.clients.client.Client",
    "A registered device and the hash of its key. Written by enrolment; touched by heartbeats.",
)  # fmt: skip
TOKEN = RowKind(
    "enrolment token", "clients", "token#{token}", "token", "chalicelib.clients.client.EnrolmentToken",
    "Lets devices enrol. `claims` is a set of client ids: a claim repeated is one claim, so that uses are exact.",
)  # fmt: skip
MODEL = RowKind(
    "model", "versions", "models", "model#{model}", "chalicelib.registry.model.Model",
    "A model, how its rounds run, and whether they open by themselves. All models share a partition: the tick lists it.",
)  # fmt: skip
VERSION = RowKind(
    "version", "versions", "model#{model}", "version#{version:08d}", "chalicelib.registry.version.Version",
    "An immutable checkpoint and its lineage. Its `evaluation` is added once, when its round is decided.",
)  # fmt: skip
DEPLOYMENT = RowKind(
    "deployment", "versions", "model#{model}", "deployment#{revision:08d}", "chalicelib.registry.deployment.Deployment",
    "What clients are served since a revision. The log only grows; its last row is the present; to write the next revision, "
    "if nobody has, is the compare-and-set.",
)  # fmt: skip
ROUND = RowKind(
    "round", "rounds", "model#{model}", "round#{number:08d}", "chalicelib.rounds.round.Round",
    "One pass, its phase and its fence. The last row is the model's current round: there is no pointer that could dangle.",
)  # fmt: skip
RECEIPT = RowKind(
    "receipt", "rounds", "round#{round}", "receipt#{client}", "chalicelib.rounds.receipt.Receipt",
    "A client's place in a round, and what became of its update.",
)  # fmt: skip
EVALUATION = RowKind(
    "evaluation", "rounds", "round#{round}", "evaluation#{client}", "chalicelib.rounds.evaluation.Evaluation",
    "A client's place among a candidate's judges, and what it measured of the candidate and of the deployed version.",
)  # fmt: skip

ROWS = (CLIENT, TOKEN, MODEL, VERSION, DEPLOYMENT, ROUND, RECEIPT, EVALUATION)


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """A kind of object in the bucket: its key template, and what a reader of the bucket should know of it."""

    name: str
    template: str
    about: str

    def key(self, **parts: object) -> str:
        """The key of one object; `parts` fill the template, and `spread` is four hex digits of the round's hash,
        so that the objects of many rounds lie in many of S3's partitions.
        """
        spread = sha256(str(parts.get("round")).encode()).hexdigest()[:4]
        return self.template.format(spread=spread, **parts)


CHECKPOINT = ObjectKind(
    "checkpoint", "checkpoints/{sha256}.safetensors",
    "A version's tensors, addressed by their content. Never overwritten, never deleted while a version names it.",
)  # fmt: skip
DOCUMENT = ObjectKind(
    "version document", "versions/{sha256}.json",
    "A version's lineage, config and metrics as canonical JSON, addressed by its content.",
)  # fmt: skip
UPDATE = ObjectKind(
    "update", "updates/{spread}/{round}/{client}/{sha256}.safetensors",
    "One client's delta. Private data: deleted once the version is published, and by lifecycle after a day.",
)  # fmt: skip
MANIFEST = ObjectKind(
    "round manifest", "rounds/{spread}/{round}/manifests/{sha256}.json",
    "The sorted list of the updates that a round aggregates, addressed by its content. The round's move to aggregating names "
    "the one that counts: that move is the freeze.",
)  # fmt: skip
PART = ObjectKind(
    "partial sum", "rounds/{spread}/{round}/parts/{part}.safetensors",
    "Exact float64 sums over some of the clients. Written once; a pure function of the manifest.",
)  # fmt: skip

OBJECTS = (CHECKPOINT, DOCUMENT, UPDATE, MANIFEST, PART)
