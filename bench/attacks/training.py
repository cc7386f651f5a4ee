"""Round after round: what the clients send, what becomes of the model, and what there is to tell of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from bench.attacks.clients import ATTACKS, Client, Upload, crew
from bench.attacks.defences import defences
from bench.attacks.rounds import Accepted, inspect, next_version
from examples.digits.data import digits
from examples.digits.model import accuracy, network
from muster.aggregation.exact import SumOutOfRange
from muster.aggregation.registry import WrongNumberOfUpdates
from muster.device.errors import Untrusted
from muster.device.torch import checkpoint
from muster.wire.admin import RoundConfig
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit, parse_header, update_schema


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trainings have in common."""

    clients: int
    hostile: int
    rounds: int
    seed: int


@dataclass
class Course:
    """How a training went, round by round. A round that is abandoned leaves the model as it was."""

    accuracies: list[float] = field(default_factory=list)
    """On the held-out scans, after each round: fractions."""
    honest_norms: list[list[float]] = field(default_factory=list)
    """L2 norms of the updates of honest clients."""
    silent: int = 0
    """Updates that devices did not send, because their training led to numbers that are not finite."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Updates that the gate turned away, by reason."""
    abandoned: dict[int, str] = field(default_factory=dict)
    """Rounds without a version, and why."""


def train(setting: Setting, attack: str, defence: str) -> Course:
    """Train the demo's network on one thread, under an attack, with a defence."""
    torch.set_num_threads(1)
    data = digits(setting.clients, setting.seed)
    clients = crew(data, ATTACKS[attack], setting.hostile, setting.seed)
    config = defences(setting.clients, setting.hostile)[defence]
    model, course = checkpoint(network(setting.seed)), Course()
    for number in range(1, setting.rounds + 1):
        accepted = _accepted(model, _uploads(model, clients, config, course), course)
        course.honest_norms.append([one.entry.norm for one in accepted if not one.upload.hostile])
        try:
            model = next_version(number, model, config, accepted)
        except (WrongNumberOfUpdates, SumOutOfRange, Unfit) as reason:
            course.abandoned[number] = str(reason)
        course.accuracies.append(accuracy(model, data.held_out))
    return course


def _uploads(model: bytes, clients: Sequence[Client], config: RoundConfig, course: Course) -> list[Upload]:
    base, sent = decode(model, HEADER_LIMIT_BYTES), []
    for client in clients:
        try:
            sent.append(client.take_part(base, config.hyperparameters))
        except Untrusted:
            course.silent += 1
    return sent


def _accepted(model: bytes, sent: Sequence[Upload], course: Course) -> list[Accepted]:
    schema, accepted = update_schema(parse_header(model, HEADER_LIMIT_BYTES).specs), []
    for upload in sent:
        try:
            accepted.append(inspect(upload, schema))
        except Unfit as unfit:
            course.rejected[unfit.reason] += 1
    return accepted
