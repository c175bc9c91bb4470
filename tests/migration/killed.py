"""A migration that is killed, as by ``kill -9``, some time after it has written so many pages.

Run as ``python -m tests.migration.killed SOURCE TARGET PAGES MILLISECONDS``; pages have 10 events.
It comes two pages further at most, or, when there are no more pages, to the comparison: there it
waits to be killed. So it never ends in another way.
"""

import asyncio
import os
import signal
import sys
import threading

import eventuary.engines.jetstream.stored
import eventuary.engines.postgres.stored
import eventuary.engines.sqlite.stored
from eventuary.engines.storing import open_stored, open_target
from eventuary.migration.migrating import migrate
from eventuary.migration.progress import Progress

_PAGE_EVENTS = 10


def main() -> None:
    """Migrate, and be killed."""
    source_url, target_url, pages, milliseconds = sys.argv[1:]
    eventuary.engines.sqlite.stored.PAGE_EVENTS = _PAGE_EVENTS  # type: ignore[attr-defined]  # imported by name
    eventuary.engines.jetstream.stored.PAGE_EVENTS = _PAGE_EVENTS  # type: ignore[attr-defined]  # imported by name
    eventuary.engines.postgres.stored.PAGE_EVENTS = _PAGE_EVENTS  # type: ignore[attr-defined]  # imported by name
    killer = threading.Timer(int(milliseconds) / 1000, os.kill, (os.getpid(), signal.SIGKILL))
    started = False

    def report(progress: Progress) -> None:
        nonlocal started
        more = progress.done // _PAGE_EVENTS - int(pages)
        compares = progress.doing == "comparing"
        if not started and (more >= 0 or progress.left == 0 or compares):
            started = True
            killer.start()
        if more >= 2 or compares:
            killer.join()

    async def run() -> None:
        source, target = open_stored(source_url, "SOURCE"), open_target(target_url, "TARGET")
        await source.open()
        await target.open()
        await migrate(source, target, clone=False, report=report)

    asyncio.run(run())


if __name__ == "__main__":
    main()
