"""Of each model one instant, read while it goes on.

A model's rows only ever grow at their ends: the last round moves, the next version, revision or round is added. All that came
before is history and does not change any more. So one transaction that reads the ends of a model, and that nothing lies beyond
them, is the model at one instant; whatever else is read later is either history, which is then as it is now, or newer, which
its number shows, and is left out. There is no order in which tables would have to be read, and no pair of rows can be torn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from muster.layout import TableName
from muster.operator.backup import kinds
from muster.operator.backup.cloud import Cloud, Conflict
from muster.operator.backup.errors import Unsteady
from muster.operator.backup.kinds import BackupKind, Item, Row

TRIES = 20
"""How often a model is looked at until it was still for the time of two requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEnds:
    """The ends of one model at one instant: its last round (0: none yet), version and revision, and those rows."""

    model: str
    round: int
    recorded: int
    """The last round that had ended for good. Only up to there, what monitoring says of rounds will stay true."""
    version: int
    revision: int
    configured: int
    """The revision of its configuration."""
    items: tuple[Item, ...]


Cut = Mapping[str, ModelEnds]
"""The ends of each model."""


class _ModelMoved(Exception):
    """The model changed between two requests."""


def take_cut(cloud: Cloud) -> Cut:
    """The ends of all models, each at one instant.

    Raises:
        Unsteady: one never stood still.
    """
    names = [str(item["sk"]["S"]).removeprefix("model#") for item in cloud.partition("versions", kinds.MODEL.pk)]
    return {name: _ends(cloud, name) for name in names}


def belongs(row: Row, cut: Cut) -> bool:
    """Whether a row was there at the cut, and is read by a scan as it was then. The ends themselves are not: they move on,
    and are taken from the cut.
    """
    if row.model is None:
        return True
    ends = cut.get(row.model)
    if ends is None:
        return False
    match row.kind.name:
        case "version":
            return int(row.parts["version"]) < ends.version
        case "deployment":
            return int(row.parts["revision"]) < ends.revision
        case "configuration":
            return int(row.parts["revision"]) <= ends.configured
        case "round":
            return int(row.parts["number"]) < ends.round
        case "registration":
            return bool(row.value("version") <= ends.version)
        case "receipt" | "evaluation":
            return int(row.parts["round"].rpartition(".")[2]) <= ends.round
        case "record of a round":
            return int(row.parts["number"]) <= ends.recorded
        case "model":
            return False
        case _:
            return True


def ends_of(cut: Cut, table: TableName) -> Iterator[Item]:
    """The rows of a table that are taken from the cut."""
    for ends in cut.values():
        yield from (item for item in ends.items if kinds.recognise(table, item))


def _ends(cloud: Cloud, model: str) -> ModelEnds:
    retrying = Retrying(
        retry=retry_if_exception_type((_ModelMoved, Conflict)),
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=0.05, max=2.0),
        reraise=True,
    )
    try:
        return retrying(_look, cloud, model)
    except (_ModelMoved, Conflict) as moved:
        raise Unsteady(f"model {model} changed {TRIES} times while its last rows were read") from moved


def _look(cloud: Cloud, model: str) -> ModelEnds:
    """The ends of a model, if they are still the ends once they are known.

    Raises:
        _Moved: they are not.
        Conflict: somebody was writing one of them.
    """
    rnd = _last(cloud, kinds.ROUND, model, "number")
    version = _last(cloud, kinds.VERSION, model, "version")
    revision = _last(cloud, kinds.DEPLOYMENT, model, "revision")
    here = [
        (kinds.MODEL, kinds.key(kinds.MODEL, model=model)),
        (kinds.VERSION, kinds.key(kinds.VERSION, model=model, version=version)),
        (kinds.DEPLOYMENT, kinds.key(kinds.DEPLOYMENT, model=model, revision=revision)),
        *([(kinds.ROUND, kinds.key(kinds.ROUND, model=model, number=rnd))] if rnd else []),
    ]
    beyond = [
        (kinds.VERSION, kinds.key(kinds.VERSION, model=model, version=version + 1)),
        (kinds.DEPLOYMENT, kinds.key(kinds.DEPLOYMENT, model=model, revision=revision + 1)),
        (kinds.ROUND, kinds.key(kinds.ROUND, model=model, number=rnd + 1)),
    ]
    found = cloud.together([(kind.table, key) for kind, key in (*here, *beyond)])
    items = tuple(item for item in found[: len(here)] if item is not None)
    if len(items) < len(here) or any(found[len(here) :]):
        raise _ModelMoved
    ended = bool(rnd) and "summary" in items[-1]
    return ModelEnds(
        model=model,
        round=rnd,
        recorded=rnd if ended else max(rnd - 1, 0),
        version=version,
        revision=revision,
        configured=kinds.plain(items[0].get("config_revision", {"N": "1"})),
        items=items,
    )


def _last(cloud: Cloud, kind: BackupKind, model: str, number: str) -> int:
    """The highest number of a model's rows of a kind; 0 when there is none."""
    prefix = kind.sk.split("{", 1)[0]
    item = next(cloud.partition(kind.table, kind.pk.format(model=model), prefix, last=True), None)
    row = kinds.recognise(kind.table, item) if item else None
    return int(row.parts[number]) if row else 0
