"""The peer: the `eventsourcing` library on SQLite, with the same aggregate, one call at a time.

    python -m bench.peer_aggregates DIRECTORY EVENTS_EACH AGGREGATES load|update

Prints ``{"rate": calls per second}``. It has no cache unless told to, as here.
"""

import json
import sys
import time
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Account(Aggregate):  # type: ignore[misc, unused-ignore]  # Any where it is not installed
    """The account of ``bench.domain`` in the library's way."""

    @event("Opened")  # type: ignore[misc, untyped-decorator, unused-ignore]  # the same
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.balance = 0

    @event("Deposited")  # type: ignore[misc, untyped-decorator, unused-ignore]  # the same
    def deposit(self, amount: int, text: str) -> None:
        """Take money in."""
        self.balance += amount


def main() -> None:
    """Measure once."""
    directory, events, aggregates, what = sys.argv[1:]
    application: Application[UUID] = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(Path(directory) / "peer.db"),
        }
    )
    ids = []
    for _ in range(int(aggregates)):
        account = Account("Ada")
        for number in range(int(events) - 1):
            account.deposit(number, "deposit to Ada")
        application.save(account)
        ids.append(account.id)
    began = time.perf_counter()
    for each in ids:
        account = application.repository.get(each)
        if what == "update":
            account.deposit(1, f"deposit to {account.owner}")
            application.save(account)
    print(json.dumps({"rate": len(ids) / (time.perf_counter() - began)}))


if __name__ == "__main__":
    main()
