"""`FlowerTrainer`: a Flower ClientApp as a Muster trainer, on any device.

    from quickstart.client_app import app
    device.run(FlowerTrainer(app, partition=7, partitions=50, run_config={"batch-size": 32}))

The app is called as Flower's runtime calls it: with a message and a context that has `partition-id` and `num-partitions`, the
run's configuration, and the state that the app left there in earlier rounds, which stays in the trainer's folder. A round's
hyperparameters are its message's configuration; `local_epochs` is `local-epochs` where `train_config` has such a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from muster.device.files import replace_file
from muster.device.trainer import Evaluation, Hyperparameters, TrainingContext, TrainingResult
from muster.flower import bridge, records
from muster.flower.clients import ClientPlace, ClientQuestion, Clients, Here, seed_of
from muster.flower.loading import Setting
from muster.flower.records import ReadReply, RecordKeys
from muster.flower.requests import Api, Purpose
from muster.flower.strategies import hyperparameter
from muster.wire.arrays import Array

OUTSIDE_OF_ROUNDS = 0
"""The `server-round` of a measurement that no round asks for, but a rollout; Flower, too, has its round 0 before the first."""

MEMORY = "flower.memory"
"""The file in a trainer's folder that has the app's state."""

Hear = Callable[[str, Purpose, int, Any], None]
"""Is told of a reply: the round, what it was asked for, the partition, and the records that strategies make metrics of."""


def _nobody(rnd: str, purpose: Purpose, partition: int, reported: Any) -> None:
    pass


class FlowerTrainer:
    """Lets a ClientApp train and evaluate. Not for several threads at once."""

    def __init__(
        self,
        app: Any,
        *,
        partition: int,
        partitions: int,
        run_config: Mapping[str, Setting] | None = None,
        train_config: Mapping[str, Any] | None = None,
        evaluate_config: Mapping[str, Any] | None = None,
        api: Api | None = None,
        keys: RecordKeys | None = None,
        order: Sequence[str] | None = None,
        clients: Clients | None = None,
        hear: Hear = _nobody,
    ) -> None:
        """Args:
        app: the ClientApp.
        partition: which part of the data is this device's, from 0.
        partitions: how many there are.
        run_config: what the app reads in `context.run_config`.
        train_config: what a message to train says beside a round's hyperparameters, and before them.
        evaluate_config: what a message to evaluate says.
        api: `message` or `numpy`; as the app was made, unless given.
        keys: the names of the records of a message.
        order: the names of the model's arrays in the app's order; that of their numbers, or of the file, unless given.
        clients: who calls the app, if not this process.
        hear: is told of each reply.
        """
        self._api: Api = api or records.api_of(app)
        self._place = ClientPlace(partition=partition, partitions=partitions, run_config=run_config or {})
        self._configs: Mapping[Purpose, dict[str, Any]] = {
            "train": dict(train_config or {}),
            "evaluate": dict(evaluate_config or {}),
        }
        self._keys = keys or RecordKeys()
        self._order = order
        self._clients = clients or Here(app)
        self._hear = hear
        self._context: TrainingContext | None = None
        self._memory: bytes | None = None
        self._calls = 0

    def begin(self, context: TrainingContext) -> None:
        """Take note of the place, and of what the app left in its context in earlier rounds."""
        self._context, self._calls = context, 0
        file = context.folder / MEMORY
        self._memory = file.read_bytes() if file.exists() else None

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """Let the app train from `base`.

        Raises:
            UnfitReply: it failed, or returned nothing, or what does not fit the base; the sentence names it.
        """
        keys = {hyperparameter(key): key for key in self._configs["train"]}
        config = self._configs["train"] | {keys.get(name, name): value for name, value in hyperparameters.items()}
        found = self._ask("train", base, config)
        return TrainingResult(found.arrays, found.examples, _named(found.metrics))

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """Let the app evaluate.

        Raises:
            UnfitReply: it failed, or returned nothing, or no number of examples.
        """
        found = self._ask("evaluate", weights, self._configs["evaluate"])
        return Evaluation(found.examples, _named(found.metrics))

    def _ask(self, purpose: Purpose, arrays: Mapping[str, Array], config: dict[str, Any]) -> ReadReply:
        rnd = self._context.round if self._context else ""
        if self._api == "message" and rnd:
            number = rnd.rpartition(".")[2]
            config = {**config, "server-round": int(number) if number.isdigit() else OUTSIDE_OF_ROUNDS}
        ordered = {name: arrays[name] for name in self._order or records.in_order(arrays)}
        content = records.asked(self._api, purpose, ordered, config=config, keys=self._keys)
        bridge.identify()
        message = bridge.Message(content, self._place.node, purpose, group_id=rnd)
        self._calls += 1
        known = {"run_id": bridge.RUN, "src_node_id": bridge.SERVER_NODE, "message_id": f"{rnd or 'unnamed'}.{purpose}"}
        question = ClientQuestion(
            id=f"{rnd}.{self._place.partition}.{self._calls}",
            place=self._place,
            message=bridge.packed(message, **known),
            memory=self._memory,
            seed=seed_of(self._context.seed if self._context else 0, purpose, self._calls),
        )
        [answer] = self._clients.ask([question], None)
        found = records.read(self._api, purpose, bridge.unpacked(answer.reply), ordered)
        if answer.memory is not None:
            self._memory = answer.memory
            if self._context:
                self._remember(self._context.folder)
        self._hear(rnd, purpose, self._place.partition, found.records)
        return found

    def _remember(self, folder: Path) -> None:
        if self._memory is not None:
            replace_file(folder / MEMORY, self._memory)


def _named(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics by the protocol's names: `eval-acc` is `eval_acc`."""
    return {name.replace("-", "_").replace(".", "_").lower(): value for name, value in metrics.items()}
