"""A token is exact, also when many devices come at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from chalicelib.clients.directory import Directory
from chalicelib.errors import Refusal
from chalicelib.instants import utc_now
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.local import LocalCloud
from muster.operator import Operator
from muster.wire.messages import Enrolment
from muster.wire.problems import Problem
from tests.fleet import SESSION, World

THREADS = 8

Directories = Callable[[], Directory]
"""Makes a directory, each with AWS clients of its own."""


def race(token: str, enrolments: int, directories: Directories) -> Counter[str]:
    """Let so many devices enrol with a token, some at a time; what became of them."""

    def enrol_many(thread: int) -> list[str]:
        directory = directories()
        outcomes = []
        for number in range(thread, enrolments, THREADS):
            body = Enrolment(token=token, client_id=f"racer-{number}", proof="p" * 43, device_type="iot", sdk_version="test")
            try:
                directory.enrol(body)
                outcomes.append("enrolled")
            except Refusal as refused:
                outcomes.append(refused.problem.value)
        return outcomes

    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(outcome for found in pool.map(enrol_many, range(THREADS)) for outcome in found)


def check(operator: Operator, outcomes: Counter[str], *, uses: int, enrolments: int) -> None:
    """Exactly as many as the token has uses are enrolled, and none of the others is there."""
    assert outcomes == {"enrolled": uses, Problem.ENROLMENT_REFUSED.value: enrolments - uses}
    (token,) = (token for token in operator.tokens() if token.label == "race")
    assert (token.claimed, token.state) == (uses, "used-up")
    assert sum(client.client_id.startswith("racer-") for client in operator.clients()) == uses


def test_of_ten_thousand_enrolments_with_a_token_of_a_hundred_uses_exactly_a_hundred_succeed(world: World) -> None:
    token = world.operator.mint_token(100, label="race").token
    outcomes = race(token, 10_000, lambda: Services(settings=world.settings, clock=world.clock, session=SESSION).directory)
    check(world.operator, outcomes, uses=100, enrolments=10_000)


def test_a_token_is_exact_through_real_sockets_too(cloud: LocalCloud) -> None:
    class Session:
        """What the server asks of a boto3 session, in one thread of its own."""

        def client(self, service: str, config: object) -> object:
            return cloud.client(service)

    operator = Operator(cloud.url)
    token = operator.mint_token(20, label="race").token
    settings = Settings.from_environment(cloud.environment)
    outcomes = race(token, 100, lambda: Services(settings=settings, clock=utc_now, session=Session()).directory)
    check(operator, outcomes, uses=20, enrolments=100)
    operator.close()
