"""Every kind of row and object: where it lies (`muster.layout`), and what it holds. `docs/data-model.md` is made from this.

Nothing is ever found by a scan: what must be listed shares a partition, and clients, of which there may be a hundred million,
share a fixed number of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256

from muster import layout
from muster.layout import Key, ObjectPlace, RowPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKind(RowPlace):
    """A kind of row, and what a reader of the table should know of it."""

    row: str
    """Module and class of what it holds."""
    about: str

    @classmethod
    def of(cls, place: RowPlace, row: str, about: str) -> RowKind:
        """What lies there."""
        return cls(**asdict(place), row=row, about=about)


@dataclass(frozen=True, slots=True)
class ObjectKind(ObjectPlace):
    """A kind of object, and what a reader of the bucket should know of it."""

    about: str

    @classmethod
    def of(cls, place: ObjectPlace, about: str) -> ObjectKind:
        """What lies there."""
        return cls(**asdict(place), about=about)


SHARDS = 16
"""Partitions over which clients are spread. Each is counted and listed by itself; each takes 1,000 writes a second."""


def shard(client_id: str) -> str:
    """The partition number of a client, from a hash of its id: two digits."""
    return f"{int(sha256(client_id.encode()).hexdigest()[:8], 16) % SHARDS:02d}"


def part(number: int, parts: int) -> str:
    """What names one of a round's partitions in its rows' keys; a round that has one only needs no name for it."""
    return "" if parts == 1 else f"#{number:02d}"


def part_of(client_id: str, parts: int) -> str:
    """The same, of the partition in which a client's rows of a round lie, from a hash of its id."""
    return part(int(sha256(client_id.encode()).hexdigest()[8:16], 16) % parts, parts)


def client_key(client_id: str) -> Key:
    """The key of a client's row."""
    return CLIENT.key(shard=shard(client_id), client=client_id)


CLIENT = RowKind.of(
    layout.CLIENT,
    "chalicelib.clients.client.Client",
    "A registered device and the hash of its key. Written by enrolment; touched by heartbeats and check-ins. `shard` is a "
    "number from a hash of the id, so that any part of a fleet can be counted and listed by queries.",
)


def uses_key(token_id: str, number: int) -> Key:
    """The key of a share of a token's uses."""
    return TOKEN_USES.key(token=token_id, share=f"{number:02d}")


def fleet_key(number: int) -> Key:
    """The key of a share of the fleet's places. The first lies where the whole fleet was counted before there were shares."""
    return FLEET_SHARE.key(share=f"{number:02d}") if number else FLEET.key()


def segment(number: int, begins: str) -> str:
    """What a segment of a shard is called in keys. The first one of a shard lies where the whole shard was counted before there
    were segments.
    """
    return f"{number:02d}#{begins}" if begins else f"{number:02d}"


TOKEN = RowKind.of(
    layout.TOKEN,
    "chalicelib.clients.token.EnrolmentToken",
    "Lets devices enrol. Every enrolment reads it; it is written when it is minted and when it is revoked. How many used it "
    "is counted in its shares.",
)
TOKEN_USES = RowKind.of(
    layout.TOKEN_USES,
    "chalicelib.clients.token.TokenUses",
    "One share of a token's uses, and how many of them are taken. It changes in one transaction with the client's row, so it "
    "is exact; what the shares hold at most sums to the token's uses.",
)
FLEET = RowKind.of(
    layout.FLEET,
    "chalicelib.clients.client.Fleet",
    "The first share of the fleet's places, and how many of them are taken: by clients that are enrolled and not revoked. It "
    "changes in one transaction with a client's row, so it is exact, and its condition is what keeps the fleet within "
    "`max_clients`.",
)
FLEET_SHARE = RowKind.of(
    layout.FLEET_SHARE,
    "chalicelib.clients.client.Fleet",
    "The other shares of the fleet's places; `share` is 01 to 63. What the shares hold at most sums to `max_clients`.",
)
TALLY = RowKind.of(
    layout.TALLY,
    "chalicelib.clients.tally.Tally",
    "One segment of a shard of clients, counted from its rows in the background: from which id, to which. `segment` is the "
    "shard, and the id at which it begins. The statistics are the sum of all.",
)
COUNTING = RowKind.of(
    layout.COUNTING,
    "chalicelib.clients.tally_store.CountLease",
    "That somebody is counting a segment that has waited too long, so that nobody else begins.",
)
PACE = RowKind.of(
    layout.PACE,
    "chalicelib.clients.bounds.PaceBounds",
    "How many requests a second, and a month, the fleet may send: what devices are told follows from it. One row; to write the "
    "next revision, if nobody has, is the compare-and-set.",
)
COHORT = RowKind.of(
    layout.COHORT,
    "chalicelib.clients.cohort.Cohort",
    "A named set of clients: its rule, as it is since a revision. What began with an earlier revision keeps that one's rule.",
)
MODEL = RowKind.of(
    layout.MODEL,
    "chalicelib.registry.model.Model",
    "A model, how its rounds run, and whether they open by themselves. All models share a partition: the tick lists it.",
)
CONFIGURATION = RowKind.of(
    layout.CONFIGURATION,
    "chalicelib.registry.configuration.Configuration",
    "How the model's rounds are run since a revision, who decided it and why. The model's row has the present one.",
)
VERSION = RowKind.of(
    layout.VERSION,
    "chalicelib.registry.version.Version",
    "An immutable checkpoint and its lineage. Its `evaluation` is added once, when its round is decided. Where the model keeps "
    "only its last versions, `expires_at` says when this one goes; with `deleted_at` it names no object any more.",
)
DEPLOYMENT = RowKind.of(
    layout.DEPLOYMENT,
    "chalicelib.registry.deployment.Deployment",
    "What clients are served since a revision. The log only grows; its last row is the present; to write the next "
    "revision, if nobody has, is the compare-and-set.",
)
REGISTRATION = RowKind.of(
    layout.REGISTRATION,
    "chalicelib.registry.version.Registration",
    "The version that an operator made of a checkpoint: the same checkpoint again is the same version, until that is deleted; "
    "then it is a new one.",
)
ROUND = RowKind.of(
    layout.ROUND,
    "chalicelib.rounds.round.Round",
    "One pass, its phase and its fence. The last row is the model's current round: there is no pointer that could dangle.",
)
COUNTERS = RowKind.of(
    layout.COUNTERS,
    "chalicelib.rounds.counters.Counters",
    "How many places of a round were given, and how many updates were inspected: hints, in as many rows as the round has "
    "`parts`, so that no row takes all writes. `part` is empty in a round that has one part.",
)
RECEIPT = RowKind.of(
    layout.RECEIPT,
    "chalicelib.rounds.receipt.Receipt",
    "A client's place in a round, and what became of its update. `part` is from a hash of the client's id, and empty in a "
    "round that has one part.",
)
EVALUATION = RowKind.of(
    layout.EVALUATION,
    "chalicelib.rounds.judgement.Judgement",
    "A client's place among a candidate's judges, and what it measured of the candidate and of the deployed version.",
)
LOOK = RowKind.of(
    layout.LOOK,
    "chalicelib.rounds.looks.LookStamp",
    "The second for which a worker has last asked that the model be reconciled: others need not ask again.",
)
REPORT = RowKind.of(
    layout.REPORT,
    "chalicelib.rollouts.report.RolloutReport",
    "What a client measured of the version that it runs, once in a rollout. Kept for thirty days more than its steps take.",
)
VERIFICATION = RowKind.of(
    layout.VERIFICATION,
    "chalicelib.rollouts.report.Verification",
    "That a client was there while a blue-green rollout warmed up, and whether it has the candidate. Kept as long.",
)
EXPERIMENT_REPORT = RowKind.of(
    layout.EXPERIMENT_REPORT,
    "chalicelib.rollouts.trial.ExperimentReport",
    "What a client measured of its arm's version, once in an experiment. Kept for thirty days beyond its horizon, and without "
    "one for a year.",
)
ROUND_RECORD = RowKind.of(
    layout.ROUND_RECORD,
    "chalicelib.monitoring.record.Record",
    "What an ended round measured. Kept for a day, so that a page or a command line reads the recent past in one request.",
)
FLEET_RECORD = RowKind.of(
    layout.FLEET_RECORD,
    "chalicelib.monitoring.record.Record",
    "What was counted of the model's clients at one time. Kept for a day.",
)
OUTGOING = RowKind.of(
    layout.OUTGOING,
    "chalicelib.monitoring.record.Record",
    "A record on its way to CloudWatch; written in one transaction with the record, deleted when CloudWatch has it.",
)
OBJECTIVE_DAY = RowKind.of(
    layout.OBJECTIVE_DAY,
    "chalicelib.monitoring.objectives.ObjectiveDay",
    "What was counted of the model's objectives in one day of UTC: good events, and all. It changes in one transaction with "
    "the record that counts, so each counts once. Kept for 62 days; a model that rests has none.",
)
THRESHOLD = RowKind.of(
    layout.THRESHOLD,
    "chalicelib.monitoring.threshold.Threshold",
    "The bounds of a metric, where an operator has set them; the defaults are in the code.",
)
PULSE = RowKind.of(
    layout.PULSE,
    "chalicelib.vitals.Pulse",
    "When the tick last ran, and which round and revision each model had then. Its partition is what is so now: pulse, "
    "troubles and alerts of the whole stack are read in one request.",
)
TROUBLE = RowKind.of(
    layout.TROUBLE,
    "chalicelib.vitals.Trouble",
    "What fails, of which model (`-`: the stack), since when, and what was said. One of which nothing was heard for three "
    "minutes is over. Kept for a day.",
)
SILENCE = RowKind.of(
    layout.SILENCE,
    "chalicelib.monitoring.alert.Silence",
    "Until when alerts of a metric are published to nobody. They open and clear all the same.",
)
ALERT = RowKind.of(
    layout.ALERT,
    "chalicelib.monitoring.alert.Alert",
    "A metric's last alert, from its opening to its end, and until there is another one: to write the next number, if nobody "
    "has, opens an alert once.",
)
PAST_ALERT = RowKind.of(
    layout.PAST_ALERT,
    "chalicelib.monitoring.alert.Alert",
    "An alert after which the metric had another one; written in one transaction with that. Kept for ninety days after it was "
    "cleared.",
)
SPENDING = RowKind.of(
    layout.SPENDING,
    "chalicelib.spending.Spending",
    "What was used for a model on a day (UTC), by AWS's units; of what is for no model, under the name `-`. Functions add to "
    "it what they have counted, when that is worth a write; a repeat that is not noticed counts twice. Kept for 400 days.",
)
ROUND_SPENDING = RowKind.of(
    layout.ROUND_SPENDING,
    "chalicelib.spending.Spending",
    "What was used for a round, of what its model used on its days. What comes late is added late.",
)
STORAGE = RowKind.of(
    layout.STORAGE,
    "chalicelib.registry.retention.Storage",
    "How many bytes the model's versions name, as the last sweep counted them: nobody lists the bucket to answer that.",
)
SWEEP = RowKind.of(
    layout.SWEEP,
    "chalicelib.registry.sweep.Sweep",
    "When the bucket was last swept for objects that nothing names, how far that came, and until when no version may "
    "be born. Every transaction that adds a version has a condition on it.",
)
RESTORE = RowKind.of(
    layout.RESTORE,
    "muster.operator.backup.restoring.Mark",
    "Which backup this stack was filled from, and how far that is. `muster restore` alone reads and writes it.",
)

ROWS = (
    CLIENT,
    TOKEN,
    TOKEN_USES,
    FLEET,
    FLEET_SHARE,
    TALLY,
    PACE,
    COUNTING,
    COHORT,
    MODEL,
    CONFIGURATION,
    VERSION,
    DEPLOYMENT,
    REGISTRATION,
    STORAGE,
    ROUND,
    COUNTERS,
    RECEIPT,
    EVALUATION,
    LOOK,
    REPORT,
    VERIFICATION,
    EXPERIMENT_REPORT,
    ROUND_RECORD,
    FLEET_RECORD,
    OUTGOING,
    OBJECTIVE_DAY,
    THRESHOLD,
    PULSE,
    TROUBLE,
    SILENCE,
    ALERT,
    PAST_ALERT,
    SPENDING,
    ROUND_SPENDING,
    SWEEP,
    RESTORE,
)


CHECKPOINT = ObjectKind.of(
    layout.CHECKPOINT,
    "A version's tensors, addressed by their content. Never overwritten, never deleted while a version names it. One "
    "that no version names (its upload was not registered, its publication lost a race) is deleted by the sweep, two "
    "days old or more.",
)
DOCUMENT = ObjectKind.of(
    layout.DOCUMENT,
    "A version's lineage, config and metrics as canonical JSON, addressed by its content. Kept while a version names "
    "it, and deleted by the sweep, as checkpoints are.",
)
UPDATE = ObjectKind.of(
    layout.UPDATE,
    "One client's delta. Private data: when the round is finalised, everything under its name is deleted, whatever was"
    " declared last; with `keep_updates`, all but what its version was made of. What is uploaded after that, under a "
    "grant that still lives (15 minutes), and what is kept, is deleted by lifecycle a day after it came.",
)
MANIFEST = ObjectKind.of(
    layout.MANIFEST,
    "The sorted list of the updates that a round aggregates, addressed by its content. The round's move to "
    "aggregating names the one that counts: that move is the freeze. The others are deleted when the round is "
    "finalised.",
)
PART = ObjectKind.of(
    layout.PART,
    "The result of one part of a plan. Written once; a pure function of the manifest. Deleted when the round is "
    "finalised; by lifecycle after a day, which no aggregation outlives.",
)
STAGED = ObjectKind.of(
    layout.STAGED,
    "A long checkpoint, or optimizer state, that is being written; each writer has its own. Copied to the name that "
    "its digest gives it, and deleted; what a writer that died has left is deleted by lifecycle after a day.",
)
STATE = ObjectKind.of(
    layout.STATE,
    "What a server optimizer keeps from step to step (float32), addressed by its content. It belongs to a version, "
    "whose row lets it go when no round is likely to start from there; the sweep deletes it then, and what no version"
    " ever named.",
)
DELTA = ObjectKind.of(
    layout.DELTA,
    "A checkpoint in fewer bytes, for who has another one. Written once, before the version whose checkpoint names "
    "it; let go by its row and deleted by the sweep, as states are. One that is gone costs its readers the whole "
    "checkpoint, no more.",
)

OBJECTS = (CHECKPOINT, DELTA, STATE, DOCUMENT, UPDATE, MANIFEST, PART, STAGED)
