"""Events of entities that are long gone, straight into a log's stream: a store of some years.

    python -m bench.fill_jetstream URL ENTITIES EVENTS FILE

``URL``: of a log to which a server of ours has appended an event, of one stream, and which nobody
writes to. So many events of each entity, spread over the whole stream; writes some of the entities'
ids to FILE. Prints ``{"rate": events per second}``.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.events import DATA, ENTITY_TYPE, EVENT_TYPE
from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.batches import MOST_MESSAGES, publish_batch
from eventuary.engines.jetstream.messages import encode
from eventuary.engines.jetstream.partitions import partitions_of
from eventuary.engines.jetstream.wire import Wire
from eventuary.events import Append, NewEvent
from eventuary.ids import IdGenerator

#: Batches that are under way at once.
_AT_ONCE = 8

#: Ids that are written to the file.
_MOST_IDS = 20_000

_Message = tuple[str, bytes, dict[str, str]]


async def fill(url: str, entities: list[str], each: int, ids: IdGenerator) -> float:
    """Publish so many events of each of these."""
    address = read_address(url)
    [partition] = partitions_of(address.name, 1)
    event = NewEvent(EVENT_TYPE, DATA)

    def messages() -> Iterator[_Message]:
        for _ in range(each):
            for entity_id in entities:
                append = Append("default", ENTITY_TYPE, entity_id, None, [event])
                subject = partition.subject("default", ENTITY_TYPE, entity_id)
                yield subject, encode(event, ids.next_id(), append, entity_id, doubtful=False), {}

    wire = Wire(address)
    await wire.open()
    left = messages()
    began = time.perf_counter()

    async def publish() -> None:
        while batch := list(itertools.islice(left, MOST_MESSAGES)):
            answer = await publish_batch(wire, batch)
            assert answer.error is None, answer.error

    await asyncio.gather(*(publish() for _ in range(_AT_ONCE)))
    seconds = time.perf_counter() - began
    await wire.close()
    return len(entities) * each / seconds


if __name__ == "__main__":
    url, number, each, file = sys.argv[1:]
    ids = IdGenerator(1 << 40)
    entities = [ids.next_id() for _ in range(int(number))]
    Path(file).write_text("\n".join(entities[:: len(entities) // _MOST_IDS + 1]))
    print(json.dumps({"rate": asyncio.run(fill(url, entities, int(each), ids))}))
