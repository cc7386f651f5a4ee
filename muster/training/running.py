"""One training, epoch by epoch: batches, gradients, steps; and what is needed to go on with it in another process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from muster.training.modules import array_of, put
from muster.training.optimizers import OptimizerFactory, make, memory_of, remind
from muster.training.saved import Saved, joined
from muster.training.schedules import Schedule
from muster.training.tasks import Score, TrainingTask

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""What the forward pass may be computed in (torch's autocast), by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSetup:
    """What a trainer has for every training: its module, its task, and where and how it computes."""

    module: nn.Module
    task: TrainingTask
    device: torch.device
    precision: str | None
    optimizer: str | OptimizerFactory
    schedule: Schedule | None

    def moved(self, value: Any) -> Any:
        """A batch, or a part of one, on the device: tensors, and lists and mappings of such."""
        if isinstance(value, torch.Tensor):
            return value.to(self.device)
        if isinstance(value, Mapping):
            return {name: self.moved(part) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.moved(part) for part in value]
        return value

    def pair(self, batch: Any) -> tuple[Any, torch.Tensor]:
        """The inputs and the labels of a batch, on the device.

        Raises:
            TypeError: a batch is no pair, or its labels are no tensor.
        """
        if not isinstance(batch, (list, tuple)) or len(batch) != 2:
            got = f"{len(batch)} values" if isinstance(batch, (list, tuple)) else type(batch).__name__
            raise TypeError(f"dataset: expected pairs of inputs and labels, got {got}")
        inputs, labels = self.moved(batch[0]), self.moved(batch[1])
        if not isinstance(labels, torch.Tensor):
            raise TypeError(f"dataset: expected a tensor of labels, got {type(labels).__name__}")
        return inputs, labels

    def outcome(self, inputs: Any, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs and mean loss of a batch. Inputs that are several are the module's arguments; with names, its keywords.

        Raises:
            TypeError: the module returned something other than a tensor, or the loss is not one number.
            ValueError: outputs and labels do not have the shapes of the task.
        """
        with self._casting():
            if isinstance(inputs, dict):
                outputs = self.module(**inputs)
            else:
                outputs = self.module(*inputs) if isinstance(inputs, list) else self.module(inputs)
            if not isinstance(outputs, torch.Tensor):
                raise TypeError(f"module: expected it to return a tensor of outputs, got {type(outputs).__name__}")
            self.task.check(outputs, labels)
            loss = self.task.loss(outputs, labels)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise TypeError(f"loss: expected a tensor with one number, the mean over the batch, got {got}")
        return outputs, loss

    def _casting(self) -> AbstractContextManager[Any]:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.precision])


class TrainingRun:
    """Trains the module of a setup from what is in it now."""

    def __init__(
        self,
        setup: LocalSetup,
        data: Any,
        *,
        settings: Mapping[str, Any],
        generator: torch.Generator,
        drawn_to: set[int],
    ) -> None:
        """`generator` draws the order of the examples; `drawn_to` has the ids of the parameters that the proximal term holds
        near their present values.
        """
        self._setup = setup
        self._settings = settings
        self._generator = generator
        self._parameters = [parameter for parameter in setup.module.parameters() if parameter.requires_grad]
        self._anchors = [
            (parameter, parameter.detach().clone())
            for parameter in self._parameters
            if settings["proximal_mu"] and id(parameter) in drawn_to
        ]
        self._optimizer = make(setup.optimizer, self._parameters, settings)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._batches = DataLoader(data, settings["batch_size"], shuffle=True, generator=generator)
        self._scaler = torch.amp.GradScaler(setup.device.type, enabled=setup.precision == "float16")
        self._score = Score(setup.task, setup.device)

    def epoch(self, number: int) -> dict[str, float]:
        """Pass over the data once; metrics are means over it, before each step: `train_loss`, `train_<metric>`.

        Raises:
            ValueError: outputs and labels do not have the task's shapes, or there is no label that counts.
            TypeError: a batch, a metric, or what the module returned is of another type.
        """
        accumulate = self._settings["accumulate"]
        groups = -(-len(self._batches) // accumulate)
        self._setup.module.train()
        self._score.reset()
        counted = 0
        for at, batch in enumerate(self._batches):
            inputs, labels = self._setup.pair(batch)
            if at % accumulate == 0:
                self._optimizer.zero_grad()
                counted = 0
            outputs, loss = self._setup.outcome(inputs, labels)
            count = self._setup.task.counted(labels)
            last = (at + 1) % accumulate == 0 or at + 1 == len(self._batches)
            if count:  # of a batch without a label that counts the mean loss is 0/0
                self._score.add(outputs.detach(), labels, float(loss.detach()), count)
                self._backward(loss if accumulate > 1 else loss + self._proximal(), count if accumulate > 1 else 1)
                counted += count
            if last and counted:
                self._step(number * groups + at // accumulate, groups, counted)
        metrics, mean = self._score.found("train")
        return {"train_loss": mean, **{f"train_{name}": value for name, value in metrics.items()}}

    def _backward(self, loss: torch.Tensor, weight: int) -> None:
        self._scaler.scale(loss * weight if weight > 1 else loss).backward()  # type: ignore[no-untyped-call]

    def _step(self, step: int, groups: int, counted: int) -> None:
        """Move the parameters. Of several batches, gradients are of sums until here: a mean of means would be distorted."""
        if self._settings["accumulate"] > 1:
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(counted)
            if self._anchors:
                self._scaler.scale(torch.as_tensor(self._proximal())).backward()  # type: ignore[no-untyped-call]
        if self._setup.schedule is not None:
            factor = self._setup.schedule(step, groups * self._settings["epochs"])
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
        if self._settings["clip_norm"]:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._settings["clip_norm"])
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def _proximal(self) -> torch.Tensor | float:
        """(mu/2)·‖w − w_base‖²."""
        if not self._anchors:
            return 0.0
        squares = [(parameter - anchor).square().sum() for parameter, anchor in self._anchors]
        return 0.5 * float(self._settings["proximal_mu"]) * torch.stack(squares).sum()

    # ---- going on

    def memory(self) -> Saved:
        """What the optimizer remembers."""
        return memory_of(self._optimizer)

    def remember(self, memory: Saved) -> None:
        """Give the optimizer what it remembered when another training ended."""
        remind(self._optimizer, memory)

    def state(self) -> Saved:
        """All that another process needs to go on after this epoch to the same bits."""
        random = {"order": self._generator.get_state().numpy(), "torch": torch.get_rng_state().numpy()}
        if self._setup.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self._setup.device).numpy()
        tensors = Saved({name: array_of(tensor) for name, tensor in self._tensors().items()})
        scaler = Saved({}, self._scaler.state_dict())
        return joined(tensors=tensors, optimizer=self.memory(), random=Saved(random), scaler=scaler)

    def resume(self, state: Saved) -> None:
        """Go on from the state of another process."""
        put(self._tensors(), state.part("tensors").arrays)
        remind(self._optimizer, state.part("optimizer"))
        self._scaler.load_state_dict(dict(state.part("scaler").document))
        random = {name: torch.from_numpy(np.array(array)) for name, array in state.part("random").arrays.items()}
        self._generator.set_state(random["order"])
        torch.set_rng_state(random["torch"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self._setup.device)

    def _tensors(self) -> dict[str, torch.Tensor]:
        """What training changes: parameters that train, and every buffer."""
        parameters = {name: tensor for name, tensor in self._setup.module.named_parameters() if tensor.requires_grad}
        return {**parameters, **dict(self._setup.module.named_buffers())}
