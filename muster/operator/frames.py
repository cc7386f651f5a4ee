"""The operators' client, as frames of pandas (extra `[notebook]`).

    rounds = frames.rounds(operator, "digits", most=1000)
    rounds.set_index("round")["seconds"].plot()

`rows` says which columns a frame has. Their types do not depend on what is in them: text is `string`, a count is `Int64`, a
flag is `boolean`, a number `float64`, a time `datetime64[us, UTC]`; where nothing is known there is `NA`, `NaN` or `NaT`.
`most` bounds how many rounds, versions, deployments or clients are asked for, newest first, one request a page; None for all
that there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from muster.operator import rows
from muster.operator.client import Operator
from muster.operator.extras import extra
from muster.operator.rows import RowTable

if TYPE_CHECKING:
    from pandas import DataFrame

DTYPES = {"text": "string", "count": "Int64", "number": "float64", "flag": "boolean", "time": "datetime64[us, UTC]"}

Answered = TypeVar("Answered")


def frame(table: RowTable[Answered, Any], answers: Iterable[Answered], most: int | None = None) -> DataFrame:
    """The rows of a table as a frame, with all its columns, also when there is no row.

    Raises:
        NotInstalled: pandas is not here.
        OverflowError: a count has more than 64 bits.
    """
    pandas = extra("pandas", "frames need")
    found = list(table.rows(answers, most))
    return pandas.DataFrame(  # type: ignore[no-any-return]
        {name: pandas.Series([row[name] for row in found], dtype=DTYPES[column.kind]) for name, column in table.columns.items()}
    )


def rounds(operator: Operator, model: str, *, most: int | None) -> DataFrame:
    """A model's rounds, newest first."""
    return frame(rows.ROUNDS, operator.rounds(model), most)


def reasons(operator: Operator, model: str, *, most: int | None) -> DataFrame:
    """Why updates of a model's newest rounds did not count: a row for each round and reason."""
    return frame(rows.REASONS, operator.rounds(model), most)


def versions(operator: Operator, model: str, *, most: int | None) -> DataFrame:
    """A model's versions, newest first."""
    return frame(rows.VERSIONS, operator.versions(model), most)


def measurements(operator: Operator, model: str, *, most: int | None) -> DataFrame:
    """What was measured of a model's newest versions: a row for each version, metric, and who measured."""
    return frame(rows.MEASUREMENTS, operator.versions(model), most)


def deployments(operator: Operator, model: str, *, most: int | None) -> DataFrame:
    """What a model's clients were served, with rollouts, newest first."""
    return frame(rows.DEPLOYMENTS, operator.deployments(model), most)


def clients(operator: Operator, *, most: int | None, **only: Any) -> DataFrame:
    """Clients in no particular order, or only some of them (the members of `admin.ClientPage`)."""
    return frame(rows.CLIENTS, operator.clients(**only), most)


def metric(operator: Operator, model: str, name: str, *, hours: int = 1) -> DataFrame:
    """The recorded points of a metric over the last hours, oldest first."""
    return frame(rows.POINTS, [operator.metric(model, name, hours)])
