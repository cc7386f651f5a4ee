"""The operators' client: what it does of its own when something goes wrong on the way."""

from __future__ import annotations

import httpx
import pytest

from muster.device import Unreachable
from muster.operator import Operator
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode
from tests.fleet import API, BASE, World


@pytest.mark.parametrize(("expired", "succeeds"), [(1, True), (2, False)])
def test_a_grant_that_expires_while_a_checkpoint_is_uploaded_is_asked_for_once_more(
    world: World, expired: int, succeeds: bool
) -> None:
    answers = iter([httpx.Response(403)] * expired)
    puts: list[str] = []

    def store(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and request.url.host != "api.test":
            puts.append(str(request.url))
            return next(answers, None) or world._answer(request)
        return world._answer(request)

    operator = Operator(API, http=httpx.Client(transport=httpx.MockTransport(store)))
    if succeeds:
        assert operator.create_model("toy", encode(BASE), RoundConfig(goal=1, quorum=1)).newest_version == 0
    else:
        with pytest.raises(Unreachable, match="403"):
            operator.create_model("toy", encode(BASE), RoundConfig(goal=1, quorum=1))
    assert len(puts) == 2
