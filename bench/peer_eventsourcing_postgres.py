"""The peer: the `eventsourcing` library on PostgreSQL, saved to by so many threads at once.

    python -m bench.peer_eventsourcing_postgres HOST PORT USER SECONDS THREADS

Each save stores one event whose data are 300 bytes. Prints ``{"rate": saves per second}``.
"""

import json
import sys
import threading
import time
from uuid import UUID

from eventsourcing.application import Application

from bench.events import DATA
from bench.peer_eventsourcing import Order


def main() -> None:
    """Save for so long."""
    host, port, user, seconds, threads = sys.argv[1:]
    application: Application[UUID] = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": "postgres",
            "POSTGRES_HOST": host,
            "POSTGRES_PORT": port,
            "POSTGRES_USER": user,
            "POSTGRES_PASSWORD": "none",
            "POSTGRES_POOL_SIZE": threads,
            "POSTGRES_MAX_OVERFLOW": threads,
        }
    )
    counts = [0] * int(threads)
    began = time.perf_counter()
    end = began + float(seconds)

    def save(number: int) -> None:
        while time.perf_counter() < end:
            application.save(Order(DATA))
            counts[number] += 1

    workers = [threading.Thread(target=save, args=(number,)) for number in range(len(counts))]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    elapsed = time.perf_counter() - began
    application.close()
    print(json.dumps({"rate": sum(counts) / elapsed}))


if __name__ == "__main__":
    main()
