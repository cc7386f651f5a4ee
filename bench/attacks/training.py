"""Round after round: what the clients send, what becomes of the model, and what there is to tell of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.attacks.attacks import ATTACKS, TARGET, Attack, Sight, spoiled, triggered
from bench.attacks.data import TASKS, Task
from bench.attacks.fleet import AttackedFleet, first_model, predict, shaped
from bench.attacks.rounds import Arrived, Upload, aggregated, frozen, inspect
from muster.aggregation.exact import SumOutOfRange
from muster.aggregation.registry import WrongNumberOfUpdates
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array, decode, encode, schema_of, write
from muster.wire.encodings import SCALE, encoded_schema
from muster.wire.gate import rounded_norm
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit, parse_header, update_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all trainings have in common."""

    clients: int
    hostile: int
    rounds: int
    seed: int


@dataclass
class TrainingCourse:
    """How a training went, round by round. A round that is abandoned leaves the model as it was."""

    accuracies: list[float] = field(default_factory=list)
    """On what is held out, after each round: fractions."""
    success: float | None = None
    """The fraction of pictures with the trigger that the last model calls as a backdoor wants it, of those of other digits."""
    honest_norms: list[list[float]] = field(default_factory=list)
    """L2 norms of the updates of honest clients."""
    honest: int = 0
    """Updates of honest clients that passed the gate."""
    honest_quarantined: int = 0
    honest_capped: int = 0
    """Of them, outliers, and those that weigh less than they claim."""
    silent: int = 0
    """Updates that clients did not send, because their training led to numbers that are not finite."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Updates that the gate turned away, by reason."""
    abandoned: dict[int, str] = field(default_factory=dict)
    """Rounds without a version, and why."""


class Trainees:
    """The clients of a task, some of them hostile: the same ones under every attack, or the first of them.

    Their ids come first in every order, because a client chooses its id.
    """

    def __init__(self, *, task: Task, attack: Attack, hostile: int, seed: int) -> None:
        count = len(task.holdings)
        drawn = np.random.default_rng(seed).permutation(count)[: min(hostile, attack.most or hostile)].tolist()
        honest = [number for number in range(count) if number not in drawn]
        self._attack = attack
        self._hostile = 0 if attack.absent or attack == Attack() else len(drawn)
        order = honest if attack.absent else drawn + honest
        holdings = [task.holdings[number] for number in order]
        self._examples = [len(holding.labels) for holding in holdings]
        for place in range(self._hostile if attack.spoils else 0):
            holdings[place] = spoiled(holdings[place], task, attack.spoils or "labels")
        self._fleet = AttackedFleet(holdings, task.recipe, seed)

    def uploads(self, base: Mapping[str, Array]) -> list[Upload]:
        """What each sends in a round; an honest client whose numbers are not finite sends nothing."""
        learned = self._fleet.train(base)
        fine = np.all(np.isfinite(learned), axis=1)
        sent = [(n, learned[n]) for n in range(self._hostile, len(learned)) if fine[n]]
        found = [self._upload(number, encode(shaped(row, base))) for number, row in sent]
        if self._hostile and sent:
            own = np.where(np.isfinite(learned[: self._hostile]), learned[: self._hostile], 0)
            firsts = np.cumsum([0, *(array.size for array in base.values())])[:-1]
            sight = Sight(own.astype(np.float64), np.array([row for _, row in sent], np.float64), firsts)
            found += self._of_the_hostile(sight, base)
        return found

    def _of_the_hostile(self, sight: Sight, base: Mapping[str, Array]) -> list[Upload]:
        if self._attack.int8:
            return [self._upload(number, int8_file(base, *self._attack.int8)) for number in range(self._hostile)]
        rows = (self._attack.law(sight) if self._attack.law else sight.learned).astype(np.float32)
        return [self._upload(number, encode(shaped(row, base))) for number, row in enumerate(rows)]

    def _upload(self, number: int, update: bytes) -> Upload:
        if number >= self._hostile:
            return Upload(client_id=f"device-{number:02}", update=update, examples=self._examples[number], hostile=False)
        claim = self._attack.claim or self._examples[number]
        return Upload(
            client_id=f"a-device-{number:02}",
            update=update,
            examples=claim,
            hostile=True,
            encoding="int8" if self._attack.int8 else "plain",
        )


def int8_file(base: Mapping[str, Array], number: int, scale: float) -> bytes:
    """An int8 update of a model in which each number, and each scale, is the same."""
    schema = encoded_schema(update_schema(schema_of(base)), "int8")
    filling = {spec.name: scale if spec.name.startswith(SCALE) else number for spec in schema}
    return write(schema, {spec.name: np.full(spec.shape, filling[spec.name]) for spec in schema})


def train(setting: Setting, data: str, attack: str, config: RoundConfig) -> TrainingCourse:
    """Train on a data set, under an attack, with a configuration."""
    task = TASKS[data](setting.clients, setting.seed)
    crew = Trainees(task=task, attack=ATTACKS[attack], hostile=setting.hostile, seed=setting.seed)
    first = first_model(task.holdings[0].inputs.shape[1], task.recipe, setting.seed)
    model, course = encode(first), TrainingCourse()
    for number in range(1, setting.rounds + 1):
        accepted = _accepted(model, crew.uploads(decode(model, HEADER_LIMIT_BYTES)), config, course)
        try:
            model = _next(number, model, config, accepted, course)
        except (WrongNumberOfUpdates, SumOutOfRange, Unfit) as reason:
            course.abandoned[number] = str(reason)
        course.accuracies.append(_share(model, task.held_out.inputs, task.held_out.labels))
    if task.trigger is not None:
        others = task.held_out.of(np.flatnonzero(task.held_out.labels != TARGET))
        course.success = _share(model, triggered(others.inputs, task), np.full_like(others.labels, TARGET))
    return course


def _next(number: int, model: bytes, config: RoundConfig, accepted: Sequence[Arrived], course: TrainingCourse) -> bytes:
    manifest = frozen(number, model, config, accepted)
    honest = {one.entry.client_id for one in accepted if not one.upload.hostile}
    course.honest_norms.append([one.entry.norm for one in accepted if not one.upload.hostile])
    course.honest += len(honest)
    course.honest_quarantined += sum(entry.client_id in honest for entry in manifest.quarantined)
    if manifest.weighting == "examples":
        course.honest_capped += sum(e.client_id in honest and manifest.weight(e) < e.examples for e in manifest.entries)
    return aggregated(manifest, model, {one.entry.key: one.upload.update for one in accepted})


def _accepted(model: bytes, sent: Sequence[Upload], config: RoundConfig, course: TrainingCourse) -> list[Arrived]:
    schema, accepted = update_schema(parse_header(model, HEADER_LIMIT_BYTES).specs), []
    squares = sum(float(np.square(array, dtype=np.float64).sum()) for array in decode(model, HEADER_LIMIT_BYTES).values())
    for upload in sent:
        try:
            accepted.append(inspect(upload, schema, config, rounded_norm(squares)))
        except Unfit as unfit:
            course.rejected[unfit.reason] += 1
    return accepted


def _share(model: bytes, inputs: Array, labels: Array) -> float:
    """The fraction of inputs that a model gives these labels."""
    return float((predict(decode(model, HEADER_LIMIT_BYTES), inputs) == labels).mean())
