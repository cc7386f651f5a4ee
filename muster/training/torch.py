"""`TorchTrainer`: any `nn.Module`, any task, trained on a device's own data (extra `[torch]`).

What of the module travels is said in `muster.training.modules`; `weights`, `load` and `checkpoint` are for who has a module and
no trainer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from muster.device.failures import TooLittleData
from muster.device.files import remove_leftovers
from muster.device.trainer import Evaluation, Hyperparameters, TrainingContext, TrainingResult
from muster.training import local, progress
from muster.training.hyperparameters import Hyperparameter, read
from muster.training.local import LocalState
from muster.training.modules import ModuleTensors, array_of, checkpoint, load, put, weights
from muster.training.optimizers import OptimizerFactory, optimizer_of
from muster.training.progress import Progress
from muster.training.running import PRECISIONS, LocalSetup, TrainingRun
from muster.training.saved import Saved, joined
from muster.training.schedules import Schedule, schedule_of
from muster.training.tasks import Loss, Score, TrainingTask, classification
from muster.wire.arrays import Array
from muster.wire.spelling import near

__all__ = ["TorchTrainer", "checkpoint", "load", "weights"]

log = logging.getLogger(__name__)

EVALUATION_BATCH = 256
"""Examples that are measured at a time."""

TRAINING_SHARE = 0.9
"""Of the time until a round's deadline; the rest is for the upload and the report."""


class Pairs(Protocol):
    """A map-style dataset by its shape: PyTorch's own class need not be inherited."""

    def __len__(self) -> int:
        """How many examples there are."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """One of them: inputs and labels."""
        ...


class TorchTrainer:
    """Trains a module on local data. Not for several threads at once, and the module is its own while it trains.

    Both datasets have a length, and yield pairs of inputs and labels; inputs that are several are the module's arguments.
    """

    HYPERPARAMETERS: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter(name="epochs", type=int, default=1, least=1, says="passes over the local data"),
        Hyperparameter(name="batch_size", type=int, default=32, least=1, says="examples a batch"),
        Hyperparameter(name="learning_rate", type=float, default=0.05, least=0, says="the optimizer's, before the schedule"),
        Hyperparameter(name="momentum", type=float, default=0.0, least=0, below=1, says="of SGD and RMSprop"),
        Hyperparameter(name="weight_decay", type=float, default=0.0, least=0, says="the optimizer's"),
        Hyperparameter(
            name="proximal_mu", type=float, default=0.0, least=0,
            says="with mu > 0 the loss gains (mu/2)·‖w − w_base‖² over the parameters that travel (FedProx; Li et al., "
            "'Federated Optimization in Heterogeneous Networks', MLSys 2020, eq. 2): devices with unlike data stay together",
        ),
        Hyperparameter(
            name="clip_norm", type=float, default=0.0, least=0, says="the longest gradient over all parameters; 0: any length"
        ),
        Hyperparameter(name="accumulate", type=int, default=1, least=1, says="batches a step; their examples weigh alike"),
    )  # fmt: skip
    """What it understands of a round's hyperparameters. It refuses any other."""

    def __init__(
        self,
        module: nn.Module,
        train: Dataset[Any] | Pairs,
        test: Dataset[Any] | Pairs,
        *,
        task: TrainingTask | None = None,
        loss: Loss | None = None,
        optimizer: str | OptimizerFactory = "sgd",
        schedule: str | Schedule | None = None,
        precision: str | None = None,
        device: str = "cpu",
        personal: Sequence[str] = (),
        frozen: bool = False,
        keep_optimizer: bool = False,
        short_batches: bool = False,
        save_every_seconds: float = 30.0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        task: what is learnt (`muster.training.tasks`); classification, when it is not given.
        loss: another loss for classification, instead of `task`.
        optimizer: `sgd`, `adam`, `adamw`, `rmsprop`, `adagrad`, or a function of (parameters, learning_rate).
        schedule: `constant`, `linear`, `cosine`, `steps`, `warmup`, or a function of (step, steps): the learning rate's factor.
        precision: `bfloat16` or `float16`: the forward pass under torch's autocast; None computes as the module is.
        device: `cpu`, `cuda`, `mps`, or `auto` for the best that is there.
        personal: patterns of names (`head.*`) that never travel; this device keeps its own.
        frozen: whether parameters that do not train travel too.
        keep_optimizer: whether the optimizer goes on from round to round with what it remembers.
        short_batches: whether data that is less than a batch is one short batch; else it is refused.
        save_every_seconds: how often, at the ends of epochs, it is written down how far a training is.
        seed: of the order of examples. With a place's own seed (`begin`) each round is drawn from both, and dropout too.
        clock: seconds from any beginning.

        Raises:
            ValueError: a name is unknown, a pattern names nothing, or nothing travels.
            TypeError: an argument is of another kind.
        """
        if task is not None and loss is not None:
            raise ValueError("loss: expected none beside a task, which has its own")
        if precision is not None and precision not in PRECISIONS:
            raise ValueError(f"precision: there is none called {precision!r}: {near(precision, PRECISIONS)}")
        task = task or (classification(loss) if loss else classification())
        self._setup = LocalSetup(
            module=module.to(_device(device)),
            task=task,
            device=_device(device),
            precision=precision,
            optimizer=optimizer_of(optimizer),
            schedule=schedule_of(schedule),
        )
        self._train: Any = train
        self._test: Any = test
        self._personal = personal
        self._frozen = frozen
        self._keep_optimizer = keep_optimizer
        self._short_batches = short_batches
        self._save_every_seconds = save_every_seconds
        self._seed = seed
        self._clock = clock
        self._generator = torch.Generator().manual_seed(seed)
        self._context: TrainingContext | None = None
        self._begun_at = 0.0
        self._local: LocalState | None = None
        tensors = self._tensors()
        if tensors.personal or keep_optimizer:
            own = Saved({name: array_of(tensor) for name, tensor in tensors.personal.items()})
            self._local = LocalState(joined(personal=own, optimizer=Saved({})))

    def weights(self) -> dict[str, Array]:
        """What of the module travels, as arrays by name."""
        return self._tensors().arrays()

    def checkpoint(self) -> bytes:
        """The module as a tensor file, without what is personal: what an operator creates a model from."""
        return checkpoint(self._setup.module, personal=self._personal, frozen=self._frozen)

    def begin(self, context: TrainingContext) -> None:
        """Work for this place from now on: it has a seed, a folder, and perhaps a deadline."""
        self._context = context
        self._begun_at = self._clock()
        remove_leftovers(context.folder, progress.FILE, local.FILE)
        if self._local is not None:
            self._local.attach(context.folder / local.FILE, self._shape())

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """Train from `base`. Metrics are of the last epoch (`train_loss`, `train_<metric>`), and `epochs_done`: fewer than were
        asked for, when another one would have ended too late. One epoch is done in any case.

        Raises:
            ValueError: a hyperparameter is unknown or out of bounds; the base does not fit the module; the data is empty or,
                without `short_batches`, less than a batch; outputs and labels do not have the task's shapes.
            TypeError: a hyperparameter, a metric or what the module returned is of another type.
        """
        settings = read(self.HYPERPARAMETERS, hyperparameters)
        examples = self._examples(settings)
        tensors = self._tensors()
        tensors.load(base)
        place = cache(lambda: self._place(base, settings))
        known = place() if self._context and self._local else None
        if self._local is not None:
            put(tensors.personal, self._local.before(known).part("personal").arrays)
        rounded = {
            name: base[name] - array_of(tensor) for name, tensor in tensors.shared.items() if tensor.dtype == torch.bfloat16
        }
        with self._drawing() as generator:
            drawn_to = {id(tensor) for tensor in tensors.shared.values()}
            run = TrainingRun(self._setup, self._train, settings=settings, generator=generator, drawn_to=drawn_to)
            if self._local is not None and self._keep_optimizer:
                run.remember(self._local.before(known).part("optimizer"))
            metrics = self._epochs(run, place, int(settings["epochs"]))
        tensors = self._tensors()
        if self._local is not None:
            own = Saved({name: array_of(tensor) for name, tensor in tensors.personal.items()})
            memory = run.memory() if self._keep_optimizer else Saved({})
            self._local.keep(known, joined(personal=own, optimizer=memory))
        trained = tensors.arrays()
        for name, left in rounded.items():  # what bfloat16 does not hold of the base is no change that training made
            trained[name] += left
        return TrainingResult(trained, examples, metrics)

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """The task's metrics and the `loss` of a version, with this device's personal part, on the local test data.

        Raises:
            ValueError: the version does not fit the module, the test data is empty, or shapes are not the task's.
            TypeError: a metric, or what the module returned, is of another type.
        """
        examples = _length("test", self._test)
        tensors = self._tensors()
        tensors.load(weights)
        if self._local is not None:
            put(tensors.personal, self._local.latest.part("personal").arrays)
        setup = self._setup
        setup.module.eval()
        score = Score(setup.task, setup.device)
        with torch.no_grad():
            for batch in DataLoader(self._test, EVALUATION_BATCH):
                inputs, labels = setup.pair(batch)
                outputs, loss = setup.outcome(inputs, labels)
                if count := setup.task.counted(labels):
                    score.add(outputs, labels, float(loss), count)
        metrics, mean = score.found("test")
        return Evaluation(examples, {**metrics, "loss": mean})

    def _epochs(self, run: TrainingRun, place: Callable[[], str], wanted: int) -> dict[str, float]:
        """Train to the last epoch, or to the last for which there is time, from where an earlier process has come to."""
        kept: Progress | None = None
        metrics: dict[str, float] = {}
        done, longest = 0, 0.0
        if self._context is not None:
            path = self._context.folder / progress.FILE
            kept = Progress(path, place, every_seconds=self._save_every_seconds, clock=self._clock)
            if (found := kept.resume()) is not None:
                run.resume(found.part("run"))
                done, longest, metrics = (found.document[name] for name in ("done", "longest", "metrics"))
                log.info("round %s: a training goes on after epoch %d of %d", self._context.round, done, wanted)
        while done < wanted and (not done or self._clock() - self._begun_at + longest <= self._seconds):
            begun = self._clock()
            metrics = run.epoch(done)
            done += 1
            longest = max(longest, self._clock() - begun)
            if kept is not None:
                kept.save_if_due(partial(self._state, run, done=done, longest=longest, metrics=metrics))
        if done < wanted:
            log.info("a training ends after epoch %d of %d: there are no %.0f s left for the next one", done, wanted, longest)
        return {**metrics, "epochs_done": float(done)}

    @staticmethod
    def _state(run: TrainingRun, **how_far: Any) -> Saved:
        state = joined(run=run.state())
        return Saved(state.arrays, {**state.document, **how_far})

    @property
    def _seconds(self) -> float:
        """How long training may take, from `begin` on."""
        left = self._context.seconds_left if self._context else None
        return float("inf") if left is None else TRAINING_SHARE * left

    @contextmanager
    def _drawing(self) -> Iterator[torch.Generator]:
        """The generator of the order of examples. A place's seed draws torch's own numbers too, for as long as it trains."""
        if self._context is None:
            yield self._generator
            return
        drawn = hashlib.sha256(f"{self._seed}/{self._context.seed}".encode()).digest()
        seed = int.from_bytes(drawn[:8], "big") >> 1
        with torch.random.fork_rng([self._setup.device] if self._setup.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield torch.Generator().manual_seed(seed)

    def _examples(self, settings: Mapping[str, Any]) -> int:
        """How many there are to train on."""
        examples, batch = _length("train", self._train), settings["batch_size"]
        if examples < batch and not self._short_batches:
            raise TooLittleData(
                f"hyperparameter 'batch_size': expected at most the {examples} examples of train, got {batch} "
                "(TorchTrainer(…, short_batches=True) makes one short batch of them)"
            )
        return examples

    def _tensors(self) -> ModuleTensors:
        """Looked up anew each time: a module may put other buffers in the place of its own."""
        return ModuleTensors.of(self._setup.module, self._personal, self._frozen)

    def _shape(self) -> str:
        """What an optimizer's memory and a personal part are of."""
        trained = [(name, list(one.shape)) for name, one in self._setup.module.named_parameters() if one.requires_grad]
        own = [(name, list(tensor.shape)) for name, tensor in self._tensors().personal.items()]
        wanted = self._setup.optimizer
        optimizer = wanted if isinstance(wanted, str) else getattr(wanted, "__qualname__", type(wanted).__name__)
        return json.dumps([optimizer, self._keep_optimizer, trained, own])

    def _place(self, base: Mapping[str, Array], settings: Mapping[str, Any]) -> str:
        """The round, and a digest of all that decides what comes of it, as far as it can be known."""
        buffers = [(name, list(buffer.shape)) for name, buffer in self._setup.module.named_buffers()]
        told = hashlib.sha256(
            json.dumps([torch.__version__, self._shape(), buffers, settings, self._seed, self._setup.precision]).encode()
        )
        for name in sorted(base):
            told.update(f"{name} {base[name].dtype} {base[name].shape}".encode())
            told.update(np.ascontiguousarray(base[name]).tobytes())
        return f"{self._context.round if self._context else ''} {told.hexdigest()}"


def _device(name: str) -> torch.device:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    kind = name.partition(":")[0]
    if not there.get(kind, False):
        raise ValueError(f"device: expected auto, {', '.join(one for one in there if there[one])}, got {name!r}")
    return torch.device(name)


def _length(argument: str, data: Dataset[Any] | Pairs) -> int:
    if not hasattr(data, "__len__"):
        raise TypeError(f"{argument}: expected a dataset with a length, got {type(data).__name__}")
    if not len(data):
        raise TooLittleData(f"{argument}: expected at least one example, got an empty dataset")
    return len(data)
