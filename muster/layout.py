"""Where everything lies in the tables and in the bucket: the key template of each kind of row and object.

The server makes every key from these (`chalicelib.storage.keys` says what each kind holds), and a backup knows rows and objects
by them (`muster.operator.backup.kinds` says what becomes of each).

All tables have a partition key `pk` and a sort key `sk`, both text. Numbers inside keys have eight digits, so that the order of
text is the order of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

Key = dict[str, str]

TableName = Literal["clients", "rounds", "versions", "monitoring"]
TABLES: tuple[TableName, ...] = get_args(TableName)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlace:
    """Where a kind of row lies: its table, and the templates of its key."""

    name: str
    table: TableName
    pk: str
    sk: str

    def key(self, **parts: object) -> Key:
        """The key of one row; `parts` fill the templates. `part` is empty where a round's rows lie in one partition."""
        named = {"part": "", **parts}
        return {"pk": self.pk.format(**named), "sk": self.sk.format(**named)}

    def partition(self, **parts: object) -> str:
        """The partition in which the rows of this kind lie."""
        return self.pk.format(**{"part": "", **parts})

    @property
    def prefix(self) -> str:
        """What the sort keys of all rows of this kind begin with."""
        return self.sk.split("{", 1)[0]

    def name_in(self, sk: str) -> str:
        """What fills the (only) gap of this kind's sort key."""
        return sk.removeprefix(self.prefix)


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """Where a kind of object lies in the bucket: the template of its key."""

    name: str
    template: str

    def key(self, **parts: object) -> str:
        """The key of one object; `parts` fill the template, and `spread` is four hex digits of the round's hash,
        so that the objects of many rounds lie in many of S3's partitions.
        """
        return self.template.format(spread=_spread(parts.get("round")), **parts)

    def folder(self, round: object) -> str:  # noqa: A002 (it fills that gap)
        """What the keys of all objects of a round begin with, and no other round's do."""
        return self.template[: self.template.index("{round}") + len("{round}/")].format(spread=_spread(round), round=round)

    def prefix(self, **parts: object) -> str:
        """What the keys of all objects begin with that differ only in the last part, which is not given."""
        return self.template[: self.template.rindex("/")].format(spread=_spread(parts.get("round")), **parts)


def _spread(round_id: object) -> str:
    return sha256(str(round_id).encode()).hexdigest()[:4]


CLIENT = RowPlace(name="client", table="clients", pk="clients#{shard}", sk="client#{client}")
TOKEN = RowPlace(name="enrolment token", table="clients", pk="tokens", sk="token#{token}")
TOKEN_USES = RowPlace(name="uses of a token", table="clients", pk="uses#{token}#{share}", sk="uses")
FLEET = RowPlace(name="fleet", table="clients", pk="fleet", sk="fleet")
FLEET_SHARE = RowPlace(name="share of the fleet", table="clients", pk="fleet#{share}", sk="fleet")
TALLY = RowPlace(name="tally", table="clients", pk="fleet", sk="tally#{segment}")
COUNTING = RowPlace(name="lease of a count", table="clients", pk="counting#{segment}", sk="counting")
PACE = RowPlace(name="pace", table="clients", pk="fleet", sk="pace")
COHORT = RowPlace(name="cohort", table="clients", pk="cohorts", sk="cohort#{cohort}")
MODEL = RowPlace(name="model", table="versions", pk="models", sk="model#{model}")
VERSION = RowPlace(name="version", table="versions", pk="model#{model}", sk="version#{version:08d}")
CONFIGURATION = RowPlace(name="configuration", table="versions", pk="model#{model}", sk="configuration#{revision:08d}")
DEPLOYMENT = RowPlace(name="deployment", table="versions", pk="model#{model}", sk="deployment#{revision:08d}")
REGISTRATION = RowPlace(name="registration", table="versions", pk="model#{model}", sk="registration#{sha256}")
ROUND = RowPlace(name="round", table="rounds", pk="model#{model}", sk="round#{number:08d}")
COUNTERS = RowPlace(name="counters of a round", table="rounds", pk="counters#{round}{part}", sk="counters")
RECEIPT = RowPlace(name="receipt", table="rounds", pk="round#{round}{part}", sk="receipt#{client}")
EVALUATION = RowPlace(name="evaluation", table="rounds", pk="round#{round}{part}", sk="evaluation#{client}")
LOOK = RowPlace(name="look", table="rounds", pk="look#{model}", sk="look")
REPORT = RowPlace(name="report of a rollout", table="rounds", pk="rollout#{model}.r{revision}", sk="report#{client}")
VERIFICATION = RowPlace(
    name="verification of a rollout", table="rounds", pk="rollout#{model}.r{revision}", sk="verification#{client}"
)
EXPERIMENT_REPORT = RowPlace(
    name="report of an experiment", table="rounds", pk="experiment#{model}.r{revision}", sk="report#{client}"
)
ROUND_RECORD = RowPlace(name="record of a round", table="monitoring", pk="records#{model}", sk="round#{number:08d}")
FLEET_RECORD = RowPlace(name="record of the fleet", table="monitoring", pk="records#{model}", sk="fleet#{at}")
OUTGOING = RowPlace(name="outgoing record", table="monitoring", pk="outbox", sk="outgoing#{model}#{record}")
OBJECTIVE_DAY = RowPlace(name="day of objectives", table="monitoring", pk="days#{model}", sk="objectives#{day}")
THRESHOLD = RowPlace(name="threshold", table="monitoring", pk="thresholds#{model}", sk="threshold#{metric}")
PULSE = RowPlace(name="pulse", table="monitoring", pk="now", sk="pulse")
TROUBLE = RowPlace(name="trouble", table="monitoring", pk="now", sk="trouble#{model}#{doing}")
SILENCE = RowPlace(name="silence", table="monitoring", pk="now", sk="silence#{model}#{metric}")
ALERT = RowPlace(name="alert", table="monitoring", pk="now", sk="alert#{model}#{metric}")
PAST_ALERT = RowPlace(name="past alert", table="monitoring", pk="alerts#{model}", sk="alert#{metric}#{number:08d}")
SPENDING = RowPlace(name="spending of a day", table="monitoring", pk="days#{model}", sk="spending#{day}")
ROUND_SPENDING = RowPlace(name="spending of a round", table="monitoring", pk="days#{model}", sk="round#{number:08d}")
STORAGE = RowPlace(name="storage", table="versions", pk="model#{model}", sk="storage")
SWEEP = RowPlace(name="sweep", table="versions", pk="sweep", sk="sweep")
RESTORE = RowPlace(name="restore", table="versions", pk="restore", sk="restore")

CHECKPOINT = ObjectPlace("checkpoint", "checkpoints/{sha256}.safetensors")
DOCUMENT = ObjectPlace("version document", "versions/{sha256}.json")
UPDATE = ObjectPlace("update", "updates/{spread}/{round}/{client}/{sha256}.safetensors")
MANIFEST = ObjectPlace("round manifest", "rounds/{spread}/{round}/manifests/{sha256}.json")
PART = ObjectPlace("part", "parts/{spread}/{round}/{plan}/{part}.safetensors")
STAGED = ObjectPlace("staged file", "staged/{spread}/{round}/{writer}")
STATE = ObjectPlace("optimizer state", "states/{sha256}.safetensors")
DELTA = ObjectPlace("delta", "deltas/{base_sha256}/{target_sha256}")
