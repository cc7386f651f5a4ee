"""The journal of a ServerApp: its calls of the grid in their order, the replies to its messages, its clients' memories.

    begin(call)  ──▶ the first time: stored          keep(reply, memory)  ──▶ one transaction a reply
                 └─▶ again: must be the same call    end(call, given)     ──▶ which replies the app was given
                     └─▶ or is refused, by name

A ServerApp that died is run again from its start; what it was told before it is told again, to the same bytes, and the first
call that is not in the journal is where it goes on. So nothing of the app itself has to be stored, as long as it makes the same
calls when it is told the same: its draws come from one seed (`running`), and its messages have ids that are their places here.

One SQLite file in one folder. Each write is one transaction that is on the disk when it returns (`synchronous=FULL`, a
write-ahead log: https://www.sqlite.org/pragma.html#pragma_synchronous), so the journal is whole after any crash. One process
has it at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster.flower.errors import OtherRun, RunDiverged

FORMAT = 1
"""Of the file. A journal of another one is refused."""

_TABLES = """
CREATE TABLE IF NOT EXISTS head (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, messages TEXT NOT NULL, given TEXT);
CREATE TABLE IF NOT EXISTS replies (id TEXT PRIMARY KEY, reply BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS memories (node INTEGER PRIMARY KEY, memory BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Noted:
    """A message as the journal knows it: to whom of what kind, and the SHA-256 of what it says."""

    about: str
    sha256: str


class Journal:
    """What a run has done so far. Not for several threads at once."""

    def __init__(self, file: Path, head: Mapping[str, Any]) -> None:
        """Open a run's journal, or begin one; `head` says which run it is, in values of JSON.

        Raises:
            OtherRun: the file was begun with another head, by another release, or is open elsewhere.
            OSError: the folder cannot be written.
        """
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._rows = sqlite3.connect(file, isolation_level=None, timeout=0.2, check_same_thread=False)
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._rows.execute(f"PRAGMA {pragma}")
            self._rows.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            self._hold_to({"format": FORMAT, **head})
        except sqlite3.OperationalError as error:
            self._rows.close()
            raise OtherRun(f"{file.parent}: another process is running it, or it cannot be written ({error})") from error
        except sqlite3.DatabaseError as error:
            self._rows.close()
            raise OtherRun(f"{file} is no journal: {error}") from error
        except OtherRun:
            self._rows.close()
            raise
        self._at = 0
        (self.stored,) = self._rows.execute("SELECT COUNT(*) FROM calls").fetchone()
        """Calls that were made before this process began."""

    def close(self) -> None:
        """Let another process have it."""
        self._rows.close()

    # ---- calls

    def begin(self, kind: str, messages: Sequence[Noted] = ()) -> int:
        """The number of the call that the app makes now, from 1; it is stored when this returns.

        Raises:
            RunDiverged: at this place it made another call before.
        """
        self._at += 1
        told = json.dumps([[message.about, message.sha256] for message in messages])
        row = self._rows.execute("SELECT kind, messages FROM calls WHERE number = ?", (self._at,)).fetchone()
        if row is None:
            self._rows.execute("INSERT INTO calls VALUES (?, ?, ?, NULL)", (self._at, kind, told))
        elif tuple(row) != (kind, told):
            before = [Noted(*message) for message in json.loads(row[1])]
            raise RunDiverged(f"call {self._at} of the ServerApp: {_difference((row[0], before), (kind, list(messages)))}")
        return self._at

    def reply(self, message: str) -> bytes | None:
        """The reply to a message, if it is there."""
        row = self._rows.execute("SELECT reply FROM replies WHERE id = ?", (message,)).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, message: str, reply: bytes, node: int, memory: bytes | None) -> None:
        """Store a reply, and what its client remembers after it (None: what it did before), both or neither."""
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            self._rows.execute("INSERT INTO replies VALUES (?, ?)", (message, reply))
            if memory is not None:
                self._rows.execute("INSERT OR REPLACE INTO memories VALUES (?, ?)", (node, memory))
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")

    def memory(self, node: int) -> bytes | None:
        """What a client remembers."""
        row = self._rows.execute("SELECT memory FROM memories WHERE node = ?", (node,)).fetchone()
        return None if row is None else bytes(row[0])

    def given(self, call: int) -> list[str] | None:
        """The messages whose replies a call was answered with; None while it was not."""
        (given,) = self._rows.execute("SELECT given FROM calls WHERE number = ?", (call,)).fetchone()
        return None if given is None else json.loads(given)

    def end(self, call: int, given: Iterable[str]) -> None:
        """Store which replies a call is answered with, before the app sees them."""
        self._rows.execute("UPDATE calls SET given = ? WHERE number = ?", (json.dumps(list(given)), call))

    # ---- the run

    def finish(self) -> int:
        """Say that the app has ended; how many calls it made.

        Raises:
            RunDiverged: before, it made calls that it has not made now.
        """
        if self._at < self.stored:
            (kind,) = self._rows.execute("SELECT kind FROM calls WHERE number = ?", (self._at + 1,)).fetchone()
            raise RunDiverged(f"the ServerApp ended after {self._at} calls; call {self._at + 1} was {kind} before")
        return self._at

    def _hold_to(self, head: Mapping[str, Any]) -> None:
        """Write the head of a new journal, or compare it with what was written."""
        stored = dict(self._rows.execute("SELECT name, value FROM head").fetchall())
        wanted = {name: json.dumps(value, sort_keys=True) for name, value in head.items()}
        if not stored:
            self._rows.execute("BEGIN IMMEDIATE")
            self._rows.executemany("INSERT INTO head VALUES (?, ?)", wanted.items())
            self._rows.execute("COMMIT")
            return
        for name in sorted(stored.keys() | wanted.keys()):
            if stored.get(name) != wanted.get(name):
                raise OtherRun(
                    f"the state folder is of another run: its {name} is {stored.get(name)}, this one's {wanted.get(name)}"
                )


def _difference(before: tuple[str, list[Noted]], now: tuple[str, list[Noted]]) -> str:
    """What is not the same about two calls, in one sentence."""
    if before[0] != now[0]:
        return f"was {before[0]} before, and is {now[0]} now"
    if len(before[1]) != len(now[1]):
        return f"{now[0]} had {len(before[1])} messages before, and has {len(now[1])} now"
    for position, (one, other) in enumerate(zip(before[1], now[1], strict=True), 1):
        if one.about != other.about:
            return f"message {position} of {now[0]} was {one.about} before, and is {other.about} now"
        if one.sha256 != other.sha256:
            return (
                f"message {position} of {now[0]}, {other.about}, says something else than before "
                f"(SHA-256 {other.sha256[:12]}…, was {one.sha256[:12]}…)"
            )
    raise AssertionError("the calls are the same")
