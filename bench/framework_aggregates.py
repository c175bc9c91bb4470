"""The framework embedded on SQLite: updates of aggregates of so many events, and their rebuilding.

    python -m bench.framework_aggregates DIRECTORY EVENTS_EACH AGGREGATES TASKS load|update

Nothing is kept in memory between two calls, so that each loads. Prints ``{"rate": calls per
second}``; loads are made of one aggregate after the other, updates of each aggregate once.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

from bench.domain import Account, Deposited
from eventuary import Repository, connect


async def _timed(ids: list[str], tasks: int, call: Callable[[str], Awaitable[object]]) -> float:
    waiting: Iterator[str] = iter(ids)

    async def work() -> None:
        for entity_id in waiting:
            await call(entity_id)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    return len(ids) / (time.perf_counter() - began)


async def measure(path: Path, events: int, aggregates: int, tasks: int, what: str) -> float:
    """Fill a store, and time the calls."""
    async with connect(f"sqlite:{path}") as store:
        accounts = Repository(store, Account, cache=0)
        ids: list[str] = []

        async def fill() -> None:
            while len(ids) < aggregates:
                ids.append("")
                at = len(ids) - 1
                account = await accounts.save(
                    [
                        Account.open("Ada"),
                        *(Deposited(n, "deposit to Ada") for n in range(events - 1)),
                    ]
                )
                ids[at] = account.id

        await asyncio.gather(*(fill() for _ in range(64)))
        if what == "load":
            return await _timed(ids, tasks, accounts.load)
        return await _timed(
            ids, tasks, lambda entity_id: accounts.update(entity_id, Account.deposit, 1)
        )


def main() -> None:
    """Measure once."""
    directory, events, aggregates, tasks, what = sys.argv[1:]
    rate = uvloop.run(
        measure(Path(directory) / "framework.db", int(events), int(aggregates), int(tasks), what)
    )
    print(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
