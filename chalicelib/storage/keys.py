"""Every key. A row's or object's place is made here and nowhere else, and `docs/data-model.md` is generated from this file.

All tables have a partition key `pk` and a sort key `sk`, both text. Numbers inside keys have eight digits, so that the
order of text is the order of numbers. Nothing is ever found by a scan: what must be listed shares a partition, and clients,
of which there may be a hundred million, share a fixed number of them.
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
    table: Literal["clients", "rounds", "versions", "monitoring"]
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

    def name_in(self, sk: str) -> str:
        """What fills the (only) gap of this kind's sort key."""
        return sk.removeprefix(self.prefix)


SHARDS = 16
"""Partitions over which clients are spread. Each is counted and listed by itself; each takes 1,000 writes a second."""


def shard(client_id: str) -> str:
    """The partition number of a client, from a hash of its id: two digits."""
    return f"{int(sha256(client_id.encode()).hexdigest()[:8], 16) % SHARDS:02d}"


def client_key(client_id: str) -> Key:
    """The key of a client's row."""
    return CLIENT.key(shard=shard(client_id), client=client_id)


CLIENT = RowKind(
    "client", "clients", "clients#{shard}", "client#{client}", "chalicelib.clients.client.Client",
    "A registered device and the hash of its key. Written by enrolment; touched by heartbeats. `shard` is a number from a hash "
    "of the id, so that any part of a fleet can be counted and listed by queries.",
)  # fmt: skip
TOKEN = RowKind(
    "enrolment token", "clients", "tokens", "token#{token}", "chalicelib.clients.token.EnrolmentToken",
    "Lets devices enrol. `claims` is a set of client ids: a claim repeated is one claim, so that uses are exact.",
)  # fmt: skip
FLEET = RowKind(
    "fleet", "clients", "fleet", "fleet", "chalicelib.clients.client.Fleet",
    "How many clients are enrolled and not revoked. It changes in one transaction with the client's row, so it is exact, and "
    "its condition is what keeps the fleet within `max_clients`.",
)  # fmt: skip
TALLY = RowKind(
    "tally", "clients", "fleet", "tally#{shard}", "chalicelib.clients.census.Tally",
    "One shard of the fleet, counted from its rows in the background. The statistics are the sum of the shards.",
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
REGISTRATION = RowKind(
    "registration", "versions", "model#{model}", "registration#{sha256}", "chalicelib.registry.version.Registration",
    "The version that an operator made of a checkpoint: the same checkpoint again is the same version.",
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

ROUND_RECORD = RowKind(
    "record of a round", "monitoring", "records#{model}", "round#{number:08d}", "chalicelib.monitoring.record.Record",
    "What an ended round measured. Kept for a day, so that a page or a command line reads the recent past in one request.",
)  # fmt: skip
FLEET_RECORD = RowKind(
    "record of the fleet", "monitoring", "records#{model}", "fleet#{at}", "chalicelib.monitoring.record.Record",
    "What was counted of the model's clients at one time. Kept for a day.",
)  # fmt: skip
OUTGOING = RowKind(
    "outgoing record", "monitoring", "outbox", "outgoing#{model}#{record}", "chalicelib.monitoring.record.Record",
    "A record on its way to CloudWatch; written in one transaction with the record, deleted when CloudWatch has it.",
)  # fmt: skip
THRESHOLD = RowKind(
    "threshold", "monitoring", "thresholds#{model}", "threshold#{metric}", "chalicelib.monitoring.threshold.Threshold",
    "The bounds of a metric, where an operator has set them; the defaults are in the code.",
)  # fmt: skip
ALERT = RowKind(
    "alert", "monitoring", "alerts#{model}", "alert#{metric}#{number:08d}", "chalicelib.monitoring.alert.Alert",
    "A breach, from its opening to its end. A metric's last row is its present: to write the next number, if nobody has, "
    "opens an alert once.",
)  # fmt: skip
SWEEP = RowKind(
    "sweep", "versions", "sweep", "sweep", "chalicelib.registry.sweep.Sweep",
    "When the bucket was last swept for objects that nothing names, how far that came, and until when no version may be born. "
    "Every transaction that adds a version has a condition on it.",
)  # fmt: skip
RESTORE = RowKind(
    "restore", "versions", "restore", "restore", "muster.operator.backup.restoring.Mark",
    "Which backup this stack was filled from, and how far that is. `muster restore` alone reads and writes it.",
)  # fmt: skip

ROWS = (
    CLIENT, TOKEN, FLEET, TALLY, MODEL, VERSION, DEPLOYMENT, REGISTRATION, ROUND, RECEIPT, EVALUATION,
    ROUND_RECORD, FLEET_RECORD, OUTGOING, THRESHOLD, ALERT, SWEEP, RESTORE,
)  # fmt: skip


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

    def folder(self, round: str) -> str:  # noqa: A002 (it fills that gap)
        """What the keys of all objects of a round begin with, and no other round's do."""
        return self.template[: self.template.index("{round}") + len("{round}/")].format(
            spread=sha256(round.encode()).hexdigest()[:4], round=round
        )

    def prefix(self, **parts: object) -> str:
        """What the keys of all objects begin with that differ only in the last part, which is not given."""
        spread = sha256(str(parts.get("round")).encode()).hexdigest()[:4]
        return self.template[: self.template.rindex("/")].format(spread=spread, **parts)


CHECKPOINT = ObjectKind(
    "checkpoint", "checkpoints/{sha256}.safetensors",
    "A version's tensors, addressed by their content. Never overwritten, never deleted while a version names it. One that no "
    "version names (its upload was not registered, its publication lost a race) is deleted by the sweep, two days old or more.",
)  # fmt: skip
DOCUMENT = ObjectKind(
    "version document", "versions/{sha256}.json",
    "A version's lineage, config and metrics as canonical JSON, addressed by its content. Kept while a version names it, and "
    "deleted by the sweep, as checkpoints are.",
)  # fmt: skip
UPDATE = ObjectKind(
    "update", "updates/{spread}/{round}/{client}/{sha256}.safetensors",
    "One client's delta. Private data: when the round is wound up, everything under its name is deleted, whatever was declared "
    "last; with `keep_updates`, all but what its version was made of. What is uploaded after that, under a grant that still "
    "lives (15 minutes), and what is kept, is deleted by lifecycle a day after it came.",
)  # fmt: skip
MANIFEST = ObjectKind(
    "round manifest", "rounds/{spread}/{round}/manifests/{sha256}.json",
    "The sorted list of the updates that a round aggregates, addressed by its content. The round's move to aggregating names "
    "the one that counts: that move is the freeze. The others are deleted when the round is wound up.",
)  # fmt: skip
PART = ObjectKind(
    "part", "parts/{spread}/{round}/{plan}/{part}.safetensors",
    "The result of one part of a plan. Written once; a pure function of the manifest. Deleted when the round is wound up; by "
    "lifecycle after a day, which no aggregation outlives.",
)  # fmt: skip

STAGED = ObjectKind(
    "staged file", "staged/{spread}/{round}/{writer}",
    "A long checkpoint, or optimizer state, that is being written; each writer has its own. Copied to the name that its digest "
    "gives it, and deleted; what a writer that died has left is deleted by lifecycle after a day.",
)  # fmt: skip
STATE = ObjectKind(
    "optimizer state", "states/{sha256}.safetensors",
    "What a server optimizer keeps from step to step (float32), addressed by its content. It belongs to a version, whose row "
    "lets it go when no round is likely to start from there; the sweep deletes it then, and what no version ever named.",
)  # fmt: skip
DELTA = ObjectKind(
    "delta", "deltas/{base_sha256}/{target_sha256}",
    "A checkpoint in fewer bytes, for who has another one. Written once, before the version whose checkpoint names it; let go "
    "by its row and deleted by the sweep, as states are. One that is gone costs its readers the whole checkpoint, no more.",
)  # fmt: skip

OBJECTS = (CHECKPOINT, DELTA, STATE, DOCUMENT, UPDATE, MANIFEST, PART, STAGED)
