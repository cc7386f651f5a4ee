"""The journal of a ServerApp: what is stored, what is told again, and what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from muster.flower.errors import OtherRun, RunDiverged
from muster.flower.journal import Journal, Noted

HEAD = {"app": "toy", "clients": 2}
TRAIN = [Noted("train to node 101", "a" * 64), Noted("train to node 102", "b" * 64)]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Journal]:
    """Opens the journal as a process after another would."""
    before: list[Journal] = []

    def again(**head: object) -> Journal:
        for journal in before:
            journal.close()
        before.append(Journal(tmp_path / "state/journal.sqlite", {**HEAD, **head}))
        return before[-1]

    return again


def test_a_run_that_goes_on_is_told_what_it_was_told_before(opened: Callable[..., Journal]) -> None:
    first = opened()
    call = first.begin("send_and_receive", TRAIN)
    assert (call, first.given(call), first.reply("x")) == (1, None, None)
    first.keep("x", b"reply", 101, b"memory")
    first.keep("y", b"other", 102, None)
    first.end(call, ["x", "y"])
    again = opened()
    assert again.stored == 1
    assert again.begin("send_and_receive", TRAIN) == 1
    assert again.given(1) == ["x", "y"]
    assert (again.reply("x"), again.reply("y"), again.memory(101), again.memory(102)) == (b"reply", b"other", b"memory", None)
    assert again.begin("push_messages") == 2
    assert again.finish() == 2


def test_a_reply_and_its_memory_are_stored_both_or_neither(opened: Callable[..., Journal]) -> None:
    journal = opened()
    journal.keep("x", b"first", 101, b"one")
    with pytest.raises(Exception, match="UNIQUE"):
        journal.keep("x", b"second", 101, b"two")
    assert (journal.reply("x"), journal.memory(101)) == (b"first", b"one")


def test_a_process_that_is_killed_leaves_what_it_had_stored(opened: Callable[..., Journal], tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        journal = Journal(tmp_path / "state/journal.sqlite", HEAD)
        journal.begin("send_and_receive", TRAIN)
        journal.keep("x", b"reply", 101, b"memory")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    journal = opened()
    assert (journal.stored, journal.reply("x"), journal.memory(101)) == (1, b"reply", b"memory")
    journal.begin("send_and_receive", TRAIN)
    assert journal.given(1) is None


@pytest.mark.parametrize(
    ("kind", "messages", "sentence"),
    [
        ("push_messages", TRAIN, "call 1 of the ServerApp: was send_and_receive before, and is push_messages now"),
        ("send_and_receive", TRAIN[:1], "call 1 of the ServerApp: send_and_receive had 2 messages before, and has 1 now"),
        (
            "send_and_receive",
            TRAIN[::-1],
            "message 1 of send_and_receive was train to node 101 before, and is train to node 102 now",
        ),
        (
            "send_and_receive",
            [TRAIN[0], Noted(TRAIN[1].about, "c" * 64)],
            "message 2 of send_and_receive, train to node 102, says something else than before",
        ),
    ],
)
def test_another_call_at_the_same_place_is_refused_by_name(
    opened: Callable[..., Journal], kind: str, messages: list[Noted], sentence: str
) -> None:
    opened().begin("send_and_receive", TRAIN)
    with pytest.raises(RunDiverged, match=sentence):
        opened().begin(kind, messages)


def test_an_app_that_ends_before_its_time_is_refused(opened: Callable[..., Journal]) -> None:
    first = opened()
    first.begin("send_and_receive", TRAIN)
    first.begin("pull_messages")
    again = opened()
    again.begin("send_and_receive", TRAIN)
    with pytest.raises(RunDiverged, match="ended after 1 calls; call 2 was pull_messages before"):
        again.finish()


def test_the_folder_of_another_run_is_refused_by_what_differs(opened: Callable[..., Journal]) -> None:
    opened()
    with pytest.raises(OtherRun, match="its clients is 2, this one's 3"):
        opened(clients=3)


def test_a_journal_has_one_process_at_a_time(opened: Callable[..., Journal], tmp_path: Path) -> None:
    opened()
    with pytest.raises(OtherRun, match="another process is running it"):
        Journal(tmp_path / "state/journal.sqlite", HEAD)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(OtherRun, match="is no journal"):
        Journal(tmp_path / "journal.sqlite", HEAD)
