"""Rows that keep the fleet within its size: places in shares, taken and freed in one transaction with a client's row."""

from __future__ import annotations

from chalicelib.clients.client import Client, ClientState, Fleet
from chalicelib.clients.shares import MOST_SHARES, Transfer, fullest, share, shares_of, transfers, with_room
from chalicelib.log import log
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Condition, ConditionFailed, Table, Update
from chalicelib.storage.rows import Item, from_item

TRIES = 16
"""How often something is tried again that others were in the way of."""


class FleetFull(Exception):
    """No further client may be enrolled; nothing was changed."""

    def __init__(self, max_clients: int) -> None:
        super().__init__(f"the fleet has {max_clients} clients, as many as it may have")


class FleetStore:
    """How many clients are enrolled and not revoked, in the `clients` table.

    Shares are divided by `max_clients` as this function instance has it. A client is not counted in a share of its own: any
    of them may count it, so a place that becomes free is a place for anybody.
    """

    def __init__(self, table: Table, max_clients: int) -> None:
        self._table = table
        self.max_clients = max_clients
        self.shares = shares_of(max_clients)
        """Shares that hold something. There may be clients in the others: the fleet could be larger once."""
        self._most = [share(max_clients, self.shares, number) for number in range(MOST_SHARES)]

    def taken(self) -> list[int]:
        """How many clients each share counts: one request. No two of them need be of one instant."""
        return [_enrolled(row) for row in self._rows()]

    def place(self, number: int) -> Update:
        """The write that takes a place of this share.

        It counts upwards, so it belongs into a transaction with a write that a repeat fails.
        """
        if not self._most[number]:
            raise FleetFull(self.max_clients)  # a share that holds nothing has no row, and none may be begun
        condition = Condition(
            "attribute_not_exists(#enrolled) OR #enrolled < :most", "this share has room", {":most": self._most[number]}
        )
        return Update(table=self._table, key=keys.fleet_key(number), condition=condition, add={"enrolled": 1})

    def other(self, client_id: str) -> int:
        """A share with room, for a client that found its own one full.

        Places come back, and may do so behind the reader. So the fleet is full only when two readings found the same rows:
        every write leaves another `op_id` in a row, so all of them were as they are here at the instant between.

        Raises:
            FleetFull: there is none.
        """
        seen: list[Item | None] = []
        for _ in range(TRIES):
            rows = self._rows()
            taken = [_enrolled(row) for row in rows]
            number = with_room(taken, self._most, client_id)
            if number is not None and sum(taken) < self.max_clients:
                return number
            if rows == seen:
                raise FleetFull(self.max_clients)
            seen = rows
        raise RuntimeError(f"the shares of the fleet changed {TRIES} times while client {client_id} looked for a place")

    def settle(self) -> None:
        """See that no share has room while another has too many, as when `max_clients` was lowered.

        Each move is one transaction that leaves the sum as it is; a repeat finds nothing more to move. Afterwards that stays
        so: no place is taken beyond a share, and revocations free places where there are too many.
        """
        for _ in range(TRIES):
            if all(self._moved(move) for move in transfers(self.taken(), self._most)):
                return
        raise RuntimeError(f"the shares of the fleet changed {TRIES} times while they were to be settled")

    def _moved(self, move: Transfer) -> bool:
        """Whether a move was done: whether there is still so much too much, and so much room."""
        least, most = self._most[move.source] + move.amount, self._most[move.target] - move.amount
        there = Condition("#enrolled >= :least", "it has too many", {":least": least})
        room = Condition("attribute_not_exists(#enrolled) OR #enrolled <= :most", "it has room", {":most": most})
        source, target = keys.fleet_key(move.source), keys.fleet_key(move.target)
        try:
            self._table.transact(
                [
                    Update(table=self._table, key=source, condition=there, add={"enrolled": -move.amount}),
                    Update(table=self._table, key=target, condition=room, add={"enrolled": move.amount}),
                ]
            )
        except ConditionFailed:
            return False
        return True

    def revoke(self, client: Client) -> bool:
        """Take a client's key away for good and free its place, both or neither; False when that was done before.

        The place becomes free in the share that has the most beyond what it holds. A fleet that counts nobody has none to
        free: the key is taken away all the same.
        """
        active = Condition("#state = :active", "it is not revoked yet", {":active": ClientState.ACTIVE})
        counted = Condition("#enrolled > :none", "it counts somebody", {":none": 0})
        ended = Update(
            table=self._table,
            key=keys.client_key(client.client_id),
            condition=active,
            set={"state": ClientState.REVOKED},
        )
        for _ in range(TRIES):
            number = fullest(self.taken(), self._most)
            if number is None:
                log.warning("a client is revoked that nobody counted", client=client.client_id)
                freed = []
            else:
                freed = [Update(table=self._table, key=keys.fleet_key(number), condition=counted, add={"enrolled": -1})]
            try:
                self._table.transact([ended, *freed])
            except ConditionFailed as lost:
                if lost.condition is active:
                    return False
            else:
                return True
        raise RuntimeError(f"the shares of the fleet changed {TRIES} times while client {client.client_id} was to be revoked")

    def _rows(self) -> list[Item | None]:
        places = [keys.fleet_key(number) for number in range(MOST_SHARES)]
        found = self._table.get_all(places)
        return [found.get((key["pk"], key["sk"])) for key in places]


def _enrolled(row: Item | None) -> int:
    return from_item(Fleet, row).enrolled if row else 0
