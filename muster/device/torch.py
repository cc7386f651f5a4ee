"""A trainer for any `nn.Module` (extra `[torch]`): local SGD, with FedProx as an option."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from muster.device.trainer import Evaluation, Hyperparameters, TrainingResult
from muster.wire.arrays import Array, encode

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What of a round's hyperparameters this trainer understands."""

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    proximal_mu: float

    @classmethod
    def of(cls, given: Hyperparameters) -> _Settings:
        return cls(
            epochs=int(given.get("epochs", 1)),
            batch_size=int(given.get("batch_size", 32)),
            learning_rate=float(given.get("learning_rate", 0.05)),
            momentum=float(given.get("momentum", 0.0)),
            weight_decay=float(given.get("weight_decay", 0.0)),
            proximal_mu=float(given.get("proximal_mu", 0.0)),
        )


class TorchTrainer:
    """Trains a classifier on local data with SGD.

    Of a round's hyperparameters it reads `epochs`, `batch_size`, `learning_rate`, `momentum`, `weight_decay` and
    `proximal_mu`. With `proximal_mu` > 0 the loss gains (mu/2)·‖w − w_base‖² over the parameters (FedProx; Li et al.,
    "Federated Optimization in Heterogeneous Networks", MLSys 2020, eq. 2), which keeps clients with unlike data together.

    Buffers travel with the parameters: float buffers (BatchNorm's running statistics) are averaged like parameters, and of
    integer ones (`num_batches_tracked`) the server keeps the largest. Both datasets yield pairs of inputs and labels.
    """

    def __init__(
        self,
        module: nn.Module,
        train: Dataset[Any],
        test: Dataset[Any],
        *,
        loss: Loss = nn.functional.cross_entropy,
        seed: int = 0,
    ) -> None:
        self._module = module
        self._train = train
        self._test = test
        self._loss = loss
        self._generator = torch.Generator().manual_seed(seed)

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """Train from `base`; metrics are the mean training loss and accuracy of the last epoch."""
        settings = _Settings.of(hyperparameters)
        load(self._module, base)
        anchors = [parameter.detach().clone() for parameter in self._module.parameters()]
        optimiser = torch.optim.SGD(
            self._module.parameters(), settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
        )
        batches = DataLoader(self._train, settings.batch_size, shuffle=True, generator=self._generator)
        self._module.train()
        loss_sum = correct = 0.0
        for _ in range(settings.epochs):
            loss_sum = correct = 0.0
            for inputs, labels in batches:
                optimiser.zero_grad()
                outputs = self._module(inputs)
                loss = self._loss(outputs, labels)
                loss_sum += float(loss.detach()) * len(labels)
                correct += float((outputs.argmax(1) == labels).sum())
                (loss + self._proximal(anchors, settings.proximal_mu)).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        examples = len(self._train)  # type: ignore[arg-type]
        return TrainingResult(
            weights(self._module), examples, {"train_loss": loss_sum / examples, "train_accuracy": correct / examples}
        )

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """Loss and accuracy of a version on the local test data."""
        load(self._module, weights)
        self._module.eval()
        loss_sum = correct = 0.0
        with torch.no_grad():
            for inputs, labels in DataLoader(self._test, 256):
                outputs = self._module(inputs)
                loss_sum += float(self._loss(outputs, labels)) * len(labels)
                correct += float((outputs.argmax(1) == labels).sum())
        examples = len(self._test)  # type: ignore[arg-type]
        return Evaluation(examples, {"accuracy": correct / examples, "loss": loss_sum / examples})

    def _proximal(self, anchors: list[torch.Tensor], mu: float) -> torch.Tensor | float:
        if not mu:
            return 0.0
        pairs = zip(self._module.parameters(), anchors, strict=True)
        return 0.5 * mu * torch.stack([(parameter - anchor).square().sum() for parameter, anchor in pairs]).sum()


def weights(module: nn.Module) -> dict[str, Array]:
    """A module's parameters and buffers as arrays by name: copies, on the CPU."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def load(module: nn.Module, arrays: Mapping[str, Array]) -> None:
    """Put arrays into a module.

    Raises:
        RuntimeError: the names or shapes are not the module's.
    """
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})


def checkpoint(module: nn.Module) -> bytes:
    """A module as a tensor file that says which of its tensors are buffers: what an operator creates a model from."""
    arrays = weights(module)
    return encode(arrays, {name for name, _ in module.named_buffers()} & arrays.keys())
