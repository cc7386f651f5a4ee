"""Pages of lists."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from muster.wire.messages import Query


class Page(Query):
    """A page of a numbered list, newest first."""

    before: Annotated[int, Field(ge=0, lt=10**8)] | None = Field(None, description="only numbers below this one")


class After(Query):
    """A page of a list without numbers."""

    after: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        None, description="what the last page gave as `after`"
    )
