"""A process of its own with one subscriber of the remote event store that catches up.

    python -m bench.remote_reader HTTP_PORT STOMP_PORT SUBSCRIBER EVENTS [asyncio|uvloop]

Acknowledges each event. Prints ``{"rate": events per second, "microseconds": processor time an
event}``, counted from before it subscribes until the last event is there.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence

import uvloop

from bench import events
from eventuary.delivery.consumer import Consumer, Delivery
from eventuary.remote import RemoteEventStore


class _Reader:
    """Satisfies ``Receiver``."""

    def __init__(self, most: int) -> None:
        self.consumer: Consumer
        self.count = 0
        self.all_here = asyncio.Event()
        self._most = most
        self._loop = asyncio.get_running_loop()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self._loop.call_soon(self._handle, deliveries)

    def interrupted(self) -> None:
        raise AssertionError("interrupted")

    def closed(self, reason: str) -> None:
        if self.count < self._most:
            raise AssertionError(reason)

    def _handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.consumer.acknowledge(delivery.swimlane, delivery.offset)
        self.count += len(deliveries)
        if self.count >= self._most:
            self.all_here.set()


async def _read(http_port: int, stomp_port: int, subscriber_id: str, most: int) -> None:
    began, processor = time.perf_counter(), time.process_time()
    url = f"http://127.0.0.1:{http_port}?stomp_port={stomp_port}"
    async with RemoteEventStore(url) as store:
        reader = _Reader(most)
        selection = {events.ENTITY_TYPE: [events.EVENT_TYPE]}
        reader.consumer = await store.subscribe("default", subscriber_id, selection, reader)
        await reader.all_here.wait()
        seconds = time.perf_counter() - began
        spent = time.process_time() - processor
        await reader.consumer.flush()
    assert reader.count == most, f"{reader.count} events, not {most}"
    print(json.dumps({"rate": most / seconds, "microseconds": spent / most * 1e6}))


def main() -> None:
    """Read so many events."""
    http_port, stomp_port, subscriber_id, most, *loop = sys.argv[1:]
    gc.freeze()
    factory = uvloop.new_event_loop if loop == ["uvloop"] else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_read(int(http_port), int(stomp_port), subscriber_id, int(most)))


if __name__ == "__main__":
    main()
