"""Trains for all devices, in processes of their own or in this one.

A device's work is always done by the same process, which keeps its trainer, as a device does.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from muster.device.results import begun
from muster.device.trainer import Evaluation, Hyperparameters, Trainer, TrainingContext, TrainingResult
from muster.simulation.app import App, LocalData, seed_of
from muster.simulation.data import Data, Indices
from muster.simulation.loading import load
from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES


@dataclass
class Workbench:
    """The trainers of some devices, made when they are needed first."""

    app: App
    examples: Data
    parts: Sequence[Indices]
    seed: int
    _trainers: dict[int, Trainer] = field(default_factory=dict)
    _last: tuple[Path, Mapping[str, Array]] | None = None

    def cut(self, number: int) -> tuple[Indices, Indices]:
        """Which examples a device trains on, and which it keeps for judging."""
        part = self.parts[number]
        kept = min(len(part) - 1, max(1, round(self.app.local_test * len(part))))
        return part[:-kept], part[-kept:]

    def own(self, number: int) -> LocalData:
        """What a device holds."""
        train, test = self.cut(number)
        return LocalData(
            train=self.examples.take(train),
            test=self.examples.take(test),
            client=client_id(number),
            seed=seed_of(self.seed, number),
        )

    def train(self, number: int, base: Path, hyperparameters: Hyperparameters, context: TrainingContext) -> TrainingResult:
        """Let a device's trainer train from a checkpoint."""
        trainer = self._trainer(number)
        begun(trainer, context)
        return trainer.train(self._arrays(base), hyperparameters)

    def evaluate(self, number: int, version: Path, context: TrainingContext) -> Evaluation:
        """Let a device's trainer measure a checkpoint."""
        trainer = self._trainer(number)
        begun(trainer, context)
        return trainer.evaluate(self._arrays(version))

    def _trainer(self, number: int) -> Trainer:
        if number not in self._trainers:
            self._trainers[number] = self.app.trainer_of(self.own(number))
        return self._trainers[number]

    def _arrays(self, path: Path) -> dict[str, Array]:
        """A checkpoint, as copies that a trainer may change."""
        if self._last is None or self._last[0] != path:
            self._last = path, decode(path.read_bytes(), HEADER_LIMIT_BYTES)
        return {name: np.array(array) for name, array in self._last[1].items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside the block torch, where it is loaded, computes with one thread, as it does in each worker: how many there are
    decides in which order numbers are added up, and so their last bits.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def client_id(number: int) -> str:
    """The id of a simulated device."""
    return f"device-{number:05d}"


_bench: Workbench | None = None
"""Of a worker's process."""


def _open(where: str, parts: Sequence[Indices], seed: int) -> None:
    global _bench
    app = load(where)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    _bench = Workbench(app, app.examples(), parts, seed)


def _do(what: str, *arguments: Any) -> Any:
    if _bench is None:
        raise AssertionError("a worker works before it was opened")
    return getattr(_bench, what)(*arguments)


class Workers:
    """Does the work of devices; each piece is a future. `processes` of 0 do it at once, in this process."""

    def __init__(self, bench: Workbench, where: str, processes: int) -> None:
        """`where` is the app's file, from which each process loads it."""
        context = multiprocessing.get_context("spawn")
        self._bench = bench
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context, initializer=_open, initargs=(where, bench.parts, bench.seed))
            for _ in range(processes)
        ]

    def __enter__(self) -> Self:
        """Let the processes begin to load the app."""
        for pool in self._pools:
            pool.submit(int)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)

    def train(
        self, number: int, base: Path, hyperparameters: Hyperparameters, context: TrainingContext
    ) -> Future[TrainingResult]:
        """Let a device train."""
        return self._submit("train", number, base, dict(hyperparameters), context)

    def evaluate(self, number: int, version: Path, context: TrainingContext) -> Future[Evaluation]:
        """Let a device measure a version."""
        return self._submit("evaluate", number, version, context)

    def _submit(self, what: str, number: int, *arguments: Any) -> Future[Any]:
        if self._pools:
            return self._pools[number % len(self._pools)].submit(_do, what, number, *arguments)
        done: Future[Any] = Future()
        try:
            done.set_result(getattr(self._bench, what)(number, *arguments))
        except Exception as error:  # noqa: BLE001 (it is raised where the result is asked for)
            done.set_exception(error)
        return done
