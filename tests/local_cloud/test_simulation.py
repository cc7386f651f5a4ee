"""What is simulated is what happens: over HTTP, with processes and queues in between, the same versions come out."""

from __future__ import annotations

from contextlib import closing

from infra.local import LocalCloud
from muster.operator import Operator
from tests.simulation.places import digests, in_this_process, there


def test_a_local_cloud_makes_the_versions_of_the_cloud_in_this_process_to_the_last_bit(cloud: LocalCloud) -> None:
    with closing(Operator.connect(cloud.url)) as operator:
        outcome = there(operator, clients=4, rounds=1)
    assert digests(outcome) == digests(in_this_process(clients=4, rounds=1))
