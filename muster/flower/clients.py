"""A ClientApp that answers messages: what it is told, what it answers, what it remembers, all as bytes.

    ClientQuestion (message, memory, seed) ──▶ answer() ──▶ ClientAnswer (reply, memory) · or why the reply is unfit

As in Flower's own runtime, an app that throws makes an error reply, with which the strategy deals; its memory stays as it was.
Unlike there, an app that returns no message, or arrays that are not finite, is an end with a sentence: `UnfitReply`.

Before each message the process's generators (random, numpy, and torch where the app has loaded it) are seeded from the place of
the message, so that one that has to be answered once more, by whichever process, is answered with the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures import TimeoutError as Late
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Protocol

import numpy as np

from muster.flower.errors import FlowerError, UnfitReply
from muster.flower.loading import FlowerApp, Setting, component

log = logging.getLogger(__name__)

FIRST_NODE = 101
"""The id of the client with partition 0; the others follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPlace:
    """Which client of how many: what an app finds in its context."""

    partition: int
    partitions: int
    run_config: Mapping[str, Setting]

    @property
    def node(self) -> int:
        """Its node's id."""
        return FIRST_NODE + self.partition

    @property
    def node_config(self) -> dict[str, Setting]:
        """Under Flower's names."""
        return {"partition-id": self.partition, "num-partitions": self.partitions}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientQuestion:
    """A message to a client, and all that its answer depends on."""

    id: str
    place: ClientPlace
    message: bytes
    memory: bytes | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAnswer:
    """A client's reply; `memory` is None where it did not change, `unfit` says why a reply cannot be used."""

    id: str
    reply: bytes = b""
    memory: bytes | None = None
    unfit: str | None = None


class Clients(Protocol):
    """Who answers questions."""

    def ask(self, questions: Sequence[ClientQuestion], timeout: float | None) -> Iterator[ClientAnswer]:
        """The answers, as they come; those that take longer than so many seconds in all do not come.

        Raises:
            UnfitReply: an app answered with what cannot be used.
        """
        ...

    def close(self) -> None:
        """End their processes."""
        ...


def seed_of(*parts: object) -> int:
    """A seed from 0 to 2³² - 1, the same for the same parts."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big")


def sow(seed: int) -> None:
    """Seed this process's generators: those of random and numpy, and torch's, if it is loaded."""
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


@contextmanager
def undisturbed() -> Iterator[None]:
    """After the block, this process's generators go on as if nothing had been drawn in it."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])


def answer(app: Any, question: ClientQuestion) -> ClientAnswer:
    """Let an app answer, in this process."""
    from muster.flower import bridge

    bridge.identify()
    message, place = bridge.unpacked(question.message), question.place
    context = bridge.context(
        node=place.node, config=place.node_config, run_config=dict(place.run_config), memory=question.memory
    )
    about = f"client {place.partition}, {message.metadata.message_type}"
    sow(question.seed)
    try:
        reply = app(message, context)
    except Exception as error:
        log.exception("%s: the ClientApp failed", about)
        told = f"{type(error).__name__}: {error}"
        failed = bridge.Message(bridge.Error(code=bridge.RAISED, reason=told), reply_to=message)
        return ClientAnswer(id=question.id, reply=_packed(failed, message, bridge))
    unfit = _unfit(reply, bridge)
    if unfit:
        return ClientAnswer(id=question.id, unfit=f"{about}: {unfit}")
    memory = bridge.packed_records(context.state)
    before = question.memory or bridge.packed_records(bridge.RecordDict())
    return ClientAnswer(id=question.id, reply=_packed(reply, message, bridge), memory=None if memory == before else memory)


def _packed(reply: Any, message: Any, bridge: Any) -> bytes:
    """The reply with its message's time, so that the same reply is the same bytes."""
    packed: bytes = bridge.packed(reply, created_at=message.metadata.created_at, ttl=message.metadata.ttl)
    return packed


def _unfit(reply: Any, bridge: Any) -> str | None:
    """Why a reply cannot be used; None when it can be."""
    if not isinstance(reply, bridge.Message):
        got = "nothing" if reply is None else type(reply).__name__
        return f"expected the ClientApp to return a Message, got {got}"
    if reply.has_error():
        return None
    for record, arrays in reply.content.array_records.items():
        for name, array in arrays.items():
            try:
                found = array.numpy()
            except (TypeError, ValueError):
                continue  # of another kind than numpy's; that is between the app and its strategy
            if found.dtype.kind in "fc" and not np.isfinite(found).all():
                return f"array {name!r} of {record!r} in the reply holds a number that is not finite"
    return None


class Here:
    """Answers in this process, one question after the other."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()

    def ask(self, questions: Sequence[ClientQuestion], timeout: float | None) -> Iterator[ClientAnswer]:
        """One answer after the other; nothing is ever late."""
        for question in questions:
            with self._lock, undisturbed():
                found = answer(self._app, question)
            yield _fit(found)

    def close(self) -> None:
        """Nothing is to be ended."""


class Processes:
    """Answers in processes of their own, each of which imports the app once. They begin with the first question."""

    def __init__(self, app: FlowerApp, count: int | None = None) -> None:
        """`count` is one for each of this machine's cores, unless given."""
        self._app = app
        self._count = count or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def ask(self, questions: Sequence[ClientQuestion], timeout: float | None) -> Iterator[ClientAnswer]:
        """The answers as they come; may be called from several threads.

        Raises:
            UnfitReply: an app answered with what cannot be used.
            FlowerError: a process of the app died.
        """
        asked: list[Future[ClientAnswer]] = [self._processes().submit(_answered, question) for question in questions]
        try:
            for done in as_completed(asked, timeout):
                yield _fit(done.result())
        except Late:
            log.warning("%d replies did not come within %s s", sum(not one.done() for one in asked), timeout)
        except BrokenProcessPool as broken:
            raise FlowerError("a process of the ClientApp died: it was killed, or ran out of memory") from broken
        finally:
            for one in asked:
                one.cancel()

    def close(self) -> None:
        """End the processes; what they are at is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _processes(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                spawned = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._count, spawned, _begin, (self._app,))
            return self._pool


_APP: Any = None
"""In a process of `Processes`: its app."""


def _begin(app: FlowerApp) -> None:
    global _APP
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _APP = component(app, "clientapp")


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for questions for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answered(question: ClientQuestion) -> ClientAnswer:
    return answer(_APP, question)


def _fit(found: ClientAnswer) -> ClientAnswer:
    if found.unfit:
        raise UnfitReply(found.unfit)
    return found
