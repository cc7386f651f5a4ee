"""What a backup does with every kind of row and object (pure). Where they lie is in `muster.layout`.

Whoever adds a kind there must decide about it here; a test sees to it. Rows are copied as they are, in DynamoDB's own JSON;
only what names something else is looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from muster import layout as places
from muster.layout import TABLES, RowPlace, TableName
from muster.wire.admin import NO_MODEL

Item = dict[str, Any]
"""A row in DynamoDB's JSON: `{"pk": {"S": "fleet"}, …}`."""

NOT_COPIED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupKind(RowPlace):
    """A kind of row. Stages are restored in their order: what is pointed at before what points at it."""

    stage: int

    @classmethod
    def of(cls, place: RowPlace, stage: int) -> BackupKind:
        """What lies there."""
        return cls(**asdict(place), stage=stage)


CLIENT = BackupKind.of(places.CLIENT, 3)
TOKEN = BackupKind.of(places.TOKEN, 4)
TOKEN_USES = BackupKind.of(places.TOKEN_USES, 4)
FLEET = BackupKind.of(places.FLEET, NOT_COPIED)  # counted again from the clients
FLEET_SHARE = BackupKind.of(places.FLEET_SHARE, NOT_COPIED)  # the server spreads what was counted
TALLY = BackupKind.of(places.TALLY, NOT_COPIED)  # a chain that was read while it changed would not hold
COUNTING = BackupKind.of(places.COUNTING, NOT_COPIED)
PACE = BackupKind.of(places.PACE, 4)
COHORT = BackupKind.of(places.COHORT, 4)
MODEL = BackupKind.of(places.MODEL, 8)  # the tick lists models: until they are there, nothing moves
CONFIGURATION = BackupKind.of(places.CONFIGURATION, 2)
VERSION = BackupKind.of(places.VERSION, 1)
DEPLOYMENT = BackupKind.of(places.DEPLOYMENT, 2)
REGISTRATION = BackupKind.of(places.REGISTRATION, 2)
STORAGE = BackupKind.of(places.STORAGE, NOT_COPIED)  # counted again
ROUND = BackupKind.of(places.ROUND, 5)
COUNTERS = BackupKind.of(places.COUNTERS, NOT_COPIED)  # hints, which the tick sets right
RECEIPT = BackupKind.of(places.RECEIPT, 6)
EVALUATION = BackupKind.of(places.EVALUATION, 6)
LOOK = BackupKind.of(places.LOOK, NOT_COPIED)
REPORT = BackupKind.of(places.REPORT, 6)
VERIFICATION = BackupKind.of(places.VERIFICATION, 6)
EXPERIMENT_REPORT = BackupKind.of(places.EXPERIMENT_REPORT, 6)
ROUND_RECORD = BackupKind.of(places.ROUND_RECORD, 7)
FLEET_RECORD = BackupKind.of(places.FLEET_RECORD, 7)
OUTGOING = BackupKind.of(places.OUTGOING, NOT_COPIED)  # or it is sent twice
OBJECTIVE_DAY = BackupKind.of(places.OBJECTIVE_DAY, NOT_COPIED)  # of the stack that it was; or records would count twice
THRESHOLD = BackupKind.of(places.THRESHOLD, 7)
PULSE = BackupKind.of(places.PULSE, NOT_COPIED)  # of the stack that it was
TROUBLE = BackupKind.of(places.TROUBLE, NOT_COPIED)
SILENCE = BackupKind.of(places.SILENCE, 7)
ALERT = BackupKind.of(places.ALERT, 7)
PAST_ALERT = BackupKind.of(places.PAST_ALERT, 7)
SPENDING = BackupKind.of(places.SPENDING, NOT_COPIED)  # of the account in which that stack is
ROUND_SPENDING = BackupKind.of(places.ROUND_SPENDING, NOT_COPIED)
SWEEP = BackupKind.of(places.SWEEP, NOT_COPIED)  # a restored stack sweeps its own bucket
RESTORE = BackupKind.of(places.RESTORE, NOT_COPIED)  # it says how this stack came about

KINDS = (
    CLIENT, TOKEN, TOKEN_USES, FLEET, FLEET_SHARE, TALLY, COUNTING, PACE, COHORT, MODEL, CONFIGURATION, VERSION, DEPLOYMENT,
    REGISTRATION, STORAGE, ROUND, COUNTERS, RECEIPT, EVALUATION, LOOK, REPORT, VERIFICATION, EXPERIMENT_REPORT, ROUND_RECORD,
    FLEET_RECORD, OUTGOING, OBJECTIVE_DAY, THRESHOLD, PULSE, TROUBLE, SILENCE, ALERT, PAST_ALERT, SPENDING, ROUND_SPENDING,
    SWEEP, RESTORE,
)  # fmt: skip
STAGES = sorted({kind.stage for kind in KINDS} - {NOT_COPIED})

OBJECTS = (places.CHECKPOINT, places.STATE, places.DOCUMENT, places.MANIFEST)
"""Objects that are copied, because rows name them and their content gives them their name."""

OBJECTS_LEFT = (
    places.UPDATE,  # private data with a day's life
    places.PART,  # made again, or never needed again
    places.DELTA,  # who is pointed to one that is not there downloads the version
    places.STAGED,  # not yet anything
)

PREFIXES = tuple(sorted({place.template.split("{", 1)[0] for place in (*OBJECTS, *OBJECTS_LEFT)}))
"""What the keys of all objects begin with."""

_GAPS = {"sha256": "[0-9a-f]{64}", "spread": "[0-9a-f]{4}", "round": r"[a-z][a-z0-9-]*\.[0-9]+"}
_OBJECT = re.compile(
    "|".join(re.sub(r"\\{(\w+)\\}", lambda gap: _GAPS[gap[1]], re.escape(place.template)) for place in OBJECTS)
)
_DIGEST = re.compile(_GAPS["sha256"])


def _pattern(template: str) -> re.Pattern[str]:
    gaps = re.split(r"(\{\w+(?::08d)?\})", template)
    return re.compile("".join(_gap(part) if part.startswith("{") else re.escape(part) for part in gaps))


def _gap(gap: str) -> str:
    name, _, width = gap[1:-1].partition(":")
    some = {"round": "[^#]+", "part": "(?:#[0-9]{2})?"}.get(name, ".+")
    return f"(?P<{name}>{'[0-9]{8}' if width else some})"


_PATTERNS = {table: [(k, _pattern(k.pk), _pattern(k.sk)) for k in KINDS if k.table == table] for table in TABLES}


@dataclass(frozen=True, slots=True)
class Row:
    """A row, its kind, and what fills the gaps of its key."""

    kind: BackupKind
    parts: Mapping[str, str]
    item: Item

    def value(self, name: str) -> Any:
        """An attribute as a plain value, or None."""
        return plain(self.item[name]) if name in self.item else None

    @property
    def model(self) -> str | None:
        """The model of which it speaks, or None: it is of the fleet, or of the stack."""
        named = self.parts.get("model") or (self.parts["round"].rpartition(".")[0] if "round" in self.parts else None)
        return None if named == NO_MODEL else named

    def __str__(self) -> str:
        return f"{self.kind.name} {self.item['pk']['S']} {self.item['sk']['S']}"


def recognise(table: TableName, item: Item) -> Row | None:
    """What a row is, or None: no kind of this release has such a key."""
    pk, sk = item.get("pk", {}).get("S", ""), item.get("sk", {}).get("S", "")
    for kind, in_pk, in_sk in _PATTERNS[table]:
        if (partition := in_pk.fullmatch(pk)) and (sort := in_sk.fullmatch(sk)):
            return Row(kind, partition.groupdict() | sort.groupdict(), item)
    return None


def key(kind: BackupKind, **parts: object) -> Item:
    """The key of a row."""
    return {"pk": {"S": kind.pk.format(**parts)}, "sk": {"S": kind.sk.format(**parts)}}


def identities(row: Row) -> Iterator[str]:
    """What others may name, if this row is there."""
    match row.kind.name:
        case "client":
            yield f"client {row.parts['client']}"
        case "model":
            yield f"model {row.model}"
        case "version":
            number = int(row.parts["version"])
            yield f"version {row.model}.v{number}"
            yield _checkpoint(row.model, {"version": number, "sha256": row.value("checkpoint")["sha256"]})
        case "deployment":
            yield f"revision {int(row.parts['revision'])} of {row.model}"
        case "configuration":
            yield f"configuration {int(row.parts['revision'])} of {row.model}"
        case "round":
            yield f"round {row.model}.{int(row.parts['number'])}"


def pointers(row: Row) -> Iterator[str]:
    """What this row names; each must be the identity of a row."""
    if row.kind is not MODEL and "model" in row.parts and row.model is not None:
        yield f"model {row.model}"
    match row.kind.name:
        case "model":
            yield f"version {row.model}.v0"
            yield f"revision 1 of {row.model}"
            if (configured := row.value("config_revision") or 1) > 1:  # a model may be older than the history
                yield f"configuration {configured} of {row.model}"
        case "version":
            yield from (f"version {row.model}.v{n}" for n in (row.value("base"), row.value("parent")) if n is not None)
            yield from _round_of(row)
        case "deployment":
            yield _checkpoint(row.model, row.value("stable"))
            if rollout := row.value("rollout"):
                yield _checkpoint(row.model, rollout["candidate"])
            yield from (f"version {row.model}.v{number}" for number in row.value("left") or ())
            if (previous := row.value("previous")) is not None:
                yield f"revision {previous} of {row.model}"
            yield from _round_of(row)
        case "registration":
            yield _checkpoint(row.model, {"version": row.value("version"), "sha256": row.parts["sha256"]})
        case "round":
            yield from (_checkpoint(row.model, ref) for ref in _refs(row))
            yield f"revision {row.value('deployment_revision')} of {row.model}"
        case "report of a rollout" | "verification of a rollout":
            yield f"client {row.parts['client']}"
        case "receipt" | "evaluation":
            yield f"round {row.parts['round']}"
            yield f"client {row.parts['client']}"


def objects(row: Row) -> Iterator[str]:
    """The keys of the objects that this row names, and that are copied.

    Of the checkpoints that deployments and rounds point at, a version's row says whether they are there: it names its own until
    it is deleted.
    """
    match row.kind.name:
        case "version":
            yield from _manifest(f"{row.model}.{row.value('round')}", row.value("manifest_sha256"))
            if row.value("deleted_at") is not None:
                return
            yield places.CHECKPOINT.key(sha256=row.value("checkpoint")["sha256"])
            yield places.DOCUMENT.key(sha256=row.value("document_sha256"))
            for file in (row.value("optimizer") or {}).get("files", ()):
                yield places.STATE.key(sha256=file["sha256"])
        case "round":
            yield from _manifest(f"{row.model}.{int(row.parts['number'])}", row.value("manifest_sha256"))


def digest_in(key: str) -> str | None:
    """The SHA-256 that the key of a copied object names, or None: it is no such key."""
    return _DIGEST.findall(key)[-1] if _OBJECT.fullmatch(key) else None


def plain(value: Mapping[str, Any]) -> Any:
    """A value of DynamoDB's JSON as Python's."""
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return int(inner) if re.fullmatch("-?[0-9]+", inner) else float(inner)
        case "M":
            return {name: plain(member) for name, member in inner.items()}
        case "L":
            return [plain(member) for member in inner]
        case "NULL":
            return None
        case _:
            return inner


def _refs(row: Row) -> Iterator[Any]:
    return (ref for ref in map(row.value, ("base", "deployed", "candidate")) if ref is not None)


def _round_of(row: Row) -> Iterator[str]:
    if (number := row.value("round")) is not None:
        yield f"round {row.model}.{number}"


def _checkpoint(model: str | None, ref: Any) -> str:
    return f"version {model}.v{ref['version']} with checkpoint {ref['sha256']}"


def _manifest(round_id: str, digest: str | None) -> Iterator[str]:
    if digest is not None:
        yield places.MANIFEST.key(round=round_id, sha256=digest)
