"""The peer: the `eventsourcing` library in this process, on a SQLite file, one save an aggregate.

    python -m bench.peer_eventsourcing DIRECTORY SECONDS

Each save stores one event whose data are 300 bytes. Prints ``{"rate": saves per second}``.
"""

import json
import sys
import time
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench.events import DATA


class Order(Aggregate):  # type: ignore[misc, unused-ignore]  # Any where it is not installed
    """An aggregate with one event."""

    @event("Created")  # type: ignore[misc, untyped-decorator, unused-ignore]  # the same
    def __init__(self, data: str) -> None:
        self.data = data


def main() -> None:
    """Save for so long."""
    path, seconds = Path(sys.argv[1]) / "peer.db", float(sys.argv[2])
    application: Application[UUID] = Application(
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    )
    saves = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        application.save(Order(DATA))
        saves += 1
    print(json.dumps({"rate": saves / elapsed}))


if __name__ == "__main__":
    main()
