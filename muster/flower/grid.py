"""`StoredGrid`: Flower's grid for a ServerApp that may die at any call and go on.

    send_and_receive ──▶ journal: the call ──▶ clients: the missing replies ──▶ journal: each reply ──▶ the app
    push_messages    ──▶ journal: the call
    pull_messages    ──▶ journal: the call ──▶ the same as above, for messages that were pushed

Every reply that the app sees was read from the journal, the first time too, so a run that goes on sees the same bytes. Which
clients there are never changes, and a message that is made is nobody's business before it is sent: those two calls
(`get_node_ids`, `create_message`) are answered and not stored. A message's id is its place: its call's number, and its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from muster.flower import bridge
from muster.flower.clients import ClientPlace, ClientQuestion, Clients, seed_of
from muster.flower.errors import FlowerError
from muster.flower.journal import Journal, Noted
from muster.flower.requests import Watch


def _nobody(call: str) -> None:
    pass


class StoredGrid(bridge.Grid):  # type: ignore[misc]
    """A grid whose nodes are clients on this machine. Calls from several threads happen one after the other."""

    def __init__(
        self,
        *,
        journal: Journal,
        clients: Clients,
        places: Sequence[ClientPlace],
        seed: int,
        begun: float,
        watch: Watch = _nobody,
    ) -> None:
        """`begun` is when the run began, in seconds since 1970: the time of all its messages."""
        self._journal = journal
        self._clients = clients
        self._places = {place.node: place for place in places}
        self._seed = seed
        self._begun = begun
        self._watch = watch
        self._run = bridge.empty_run()
        self._lock = threading.RLock()
        self._failure: FlowerError | None = None
        self._pushed: dict[str, Any] = {}
        self._collected: list[Any] | None = None
        self._prepared: dict[int, list[Any]] = {}

    # ---- who is there

    def set_run(self, run: Any) -> None:
        """Take another description of the run; nothing depends on it."""
        self._run = run

    @property
    def run(self) -> Any:
        """The run."""
        return self._run

    def get_node_ids(self) -> Iterable[int]:
        """The clients: always the same, in one order."""
        self._watch("get_node_ids")
        return list(self._places)

    def create_message(self, content: Any, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None) -> Any:
        """A message, not sent yet."""
        self._watch("create_message")
        return bridge.Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def check(self) -> None:
        """Raise what a call raised, in case the app kept it to itself: nothing that it does after that counts."""
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._lock:
            self.check()
            try:
                yield
            except FlowerError as error:
                self._failure = error
                raise

    # ---- messages

    def push_messages(self, messages: Iterable[Any]) -> Iterable[str]:
        """Send messages, and return their ids.

        Raises:
            RunDiverged: at this place the app sent others before.
            FlowerError: a message goes to a client that is not there, or has no content.
        """
        with self._call():
            call, sent = self._begin("push_messages", messages)
            self._pushed |= dict(sent)
            if self._journal.given(call) is None:
                self._journal.end(call, dict(sent))
            return list(dict(sent))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Any]:
        """The replies to messages that were sent; each is given once. It returns when all of them are there.

        Raises:
            RunDiverged: at this place the app asked for others before.
        """
        with self._call():
            wanted = list(message_ids)
            self._watch("pull_messages")
            call = self._journal.begin("pull_messages", [Noted(message, "") for message in wanted])
            asked = [(message, self._pushed[message]) for message in wanted if message in self._pushed]
            replies = self._answered(call, asked, None)
            for message, _ in asked:
                self._pushed.pop(message, None)
            return replies

    def send_and_receive(self, messages: Iterable[Any], *, timeout: float | None = None) -> Iterable[Any]:
        """Send messages, and return the replies in the order of the messages; late ones are left out, and stay so.

        Raises:
            RunDiverged: at this place the app sent others before.
            FlowerError: a message goes to a client that is not there, or has no content.
        """
        with self._call():
            listed = list(messages)
            if self._collected is not None:
                self._collected += listed
                raise Collected
            if len(listed) == 1 and listed[0].metadata.dst_node_id in self._prepared:
                replies: list[Any] = self._prepared.pop(listed[0].metadata.dst_node_id)
                return replies
            call, sent = self._begin("send_and_receive", listed)
            return self._answered(call, sent, timeout)

    def _begin(self, kind: str, messages: Iterable[Any]) -> tuple[int, list[tuple[str, Any]]]:
        listed = list(messages)
        for message in listed:
            if message.metadata.dst_node_id not in self._places:
                known = f"{min(self._places)} to {max(self._places)}"
                raise FlowerError(f"{kind}: expected a message to one of the nodes {known}, got {message.metadata.dst_node_id}")
            if not message.has_content():
                raise FlowerError(f"{kind}: expected a message with content, got one with none")
        self._watch(kind)
        call = self._journal.begin(kind, [Noted(_about(message), bridge.digest(message)) for message in listed])
        return call, [(f"{call:06d}.{position:05d}", message) for position, message in enumerate(listed)]

    def _answered(self, call: int, sent: Sequence[tuple[str, Any]], timeout: float | None) -> list[Any]:
        """The replies of a call, from the journal; those that are missing are made first."""
        given = self._journal.given(call)
        if given is None:
            missing = [self._question(name, message) for name, message in sent if self._journal.reply(name) is None]
            while missing:
                now = list({question.place.node: question for question in reversed(missing)}.values())[::-1]
                later = [question for question in missing if question not in now]
                self._ask(now, timeout)
                missing = [replace(question, memory=self._journal.memory(question.place.node)) for question in later]
            given = [name for name, _ in sent if self._journal.reply(name) is not None]
            self._watch("end")
            self._journal.end(call, given)
        return [bridge.unpacked(reply) for name in given if (reply := self._journal.reply(name)) is not None]

    def _ask(self, questions: Sequence[ClientQuestion], timeout: float | None) -> None:
        """Get the answers of clients, each of which is asked once, and store them as they come."""
        nodes = {question.id: question.place.node for question in questions}
        for found in self._clients.ask(questions, timeout):
            self._watch("reply")
            self._journal.keep(found.id, found.reply, nodes[found.id], found.memory)

    def _question(self, name: str, message: Any) -> ClientQuestion:
        place = self._places[message.metadata.dst_node_id]
        made = bridge.packed(
            message, run_id=bridge.RUN, message_id=name, src_node_id=bridge.SERVER_NODE, created_at=self._begun
        )
        return ClientQuestion(
            id=name, place=place, message=made, memory=self._journal.memory(place.node), seed=seed_of(self._seed, name)
        )

    # ---- the older API, which sends a round's messages one by one, from as many threads

    @contextmanager
    def collecting(self) -> Iterator[list[Any]]:
        """Inside the block each message that would be sent is put on the list, and `Collected` is raised."""
        self._collected = []
        try:
            yield self._collected
        finally:
            self._collected = None

    @contextmanager
    def prepared(self, messages: Sequence[Any]) -> Iterator[None]:
        """Send collected messages in one call; inside the block, who sends one of them again gets its reply."""
        replies = self.send_and_receive(messages) if messages else []
        found: dict[int, list[Any]] = {message.metadata.dst_node_id: [] for message in messages}
        for reply in replies:
            found[reply.metadata.src_node_id].append(reply)
        self._prepared = dict(found)
        try:
            yield
        finally:
            self._prepared = {}


class Collected(Exception):
    """A message was put on the list of `StoredGrid.collecting`."""


def _about(message: Any) -> str:
    group = f" of group {message.metadata.group_id}" if message.metadata.group_id else ""
    return f"{message.metadata.message_type} to node {message.metadata.dst_node_id}{group}"
