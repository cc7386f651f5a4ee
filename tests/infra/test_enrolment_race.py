"""A token is exact, also when many devices come at once through real sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.errors import Refused
from chalicelib.instants import utc_now
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.local import LocalCloud
from muster.operator import Operator
from muster.wire.messages import Enrolment
from muster.wire.problems import Problem

THREADS, ENROLMENTS, USES = 8, 10_000, 100


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(api_processes=1, tick_seconds=60) as made:
        yield made


def test_of_ten_thousand_enrolments_with_a_token_of_a_hundred_uses_exactly_a_hundred_succeed(cloud: LocalCloud) -> None:
    operator = Operator(cloud.url)
    minted = operator.mint_token(USES)

    class Session:
        """What the server asks of a boto3 session, in one thread of its own."""

        def client(self, service: str, config: object) -> object:
            return cloud.client(service)

    settings = Settings.from_environment(cloud.environment)

    def enrol_many(thread: int) -> list[str]:
        directory = Services(settings, utc_now, Session()).directory
        outcomes = []
        for number in range(thread, ENROLMENTS, THREADS):
            body = Enrolment(
                token=minted.token, client_id=f"device-{number}", proof="p" * 43, device_type="iot", sdk_version="test"
            )
            try:
                directory.enrol(body)
                outcomes.append("enrolled")
            except Refused as refused:
                outcomes.append(refused.problem.value)
        return outcomes

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = Counter(outcome for found in pool.map(enrol_many, range(THREADS)) for outcome in found)
    assert outcomes == {"enrolled": USES, Problem.ENROLMENT_REFUSED.value: ENROLMENTS - USES}
    (token,) = operator.tokens()
    assert (token.claimed, token.state) == (USES, "used-up")
    assert len(list(operator.clients())) == USES
    operator.close()
