"""A process that keeps or destroys keys: ``keep | destroy STORE NUMBER``.

It says ``ready`` and waits for a line, so that several begin together; then it goes through the
entities 0 to NUMBER, and writes a line for each when it is done: the entity, and the key it has.
STORE is a database's URL, or a folder.
"""

import asyncio
import os
import sys

from eventuary.framework.key_store import EntityName, KeyStore
from eventuary.key_stores.file import FileKeyStore
from eventuary.key_stores.sql import SqlKeyStore


def open_keys(place: str) -> KeyStore:
    """Return the key store of a place."""
    return SqlKeyStore(place) if place.startswith("sqlite:") else FileKeyStore(place)


def entity(number: int) -> EntityName:
    """Return an entity to keep a key for."""
    return EntityName("default", "people.Person", f"person-{number}")


async def _main(verb: str, place: str, number: int) -> None:
    keys = open_keys(place)
    print("ready", flush=True)
    sys.stdin.readline()
    for each in range(number):
        if verb == "keep":
            print(each, (await keys.keep(entity(each), os.urandom(32))).hex(), flush=True)
        else:
            print(each, await keys.destroy(entity(each)), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
