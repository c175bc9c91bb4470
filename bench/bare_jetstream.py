"""What JetStream alone does with our messages: version-checked publishes from Python, 128 at once.

    python -m bench.bare_jetstream URL SECONDS

``URL``: of a log in the cluster; a stream of the same configuration is made beside it, and deleted.
Prints ``{"rate": publishes per second}``.
"""

import asyncio
import itertools
import json
import sys
import time

import msgspec

from bench.events import DATA
from eventuary.engines.jetstream.address import read_address
from eventuary.engines.jetstream.api import EXPECTED, call, publish
from eventuary.engines.jetstream.streams import make_streams
from eventuary.engines.jetstream.subjects import Subjects
from eventuary.engines.jetstream.wire import Wire

_AT_ONCE = 128
_NAME = "bare"


async def measure(url: str, seconds: float) -> float:
    """Publish for so long."""
    address = msgspec.structs.replace(read_address(url), name=_NAME)
    wire = Wire(address)
    await wire.open()
    [partition], _ = await make_streams(wire, Subjects(_NAME), address)
    numbers = itertools.count(1)
    payload = DATA.encode()
    done = 0
    began = time.perf_counter()

    async def client() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            subject = f"{partition.events}.default.T.{next(numbers):016x}"
            answer = await publish(wire, subject, payload, {EXPECTED: "0"})
            assert answer.error is None, answer.error
            done += 1

    await asyncio.gather(*(client() for _ in range(_AT_ONCE)))
    elapsed = time.perf_counter() - began
    for stream in (partition.stream, f"{_NAME}-state"):
        await call(wire, f"STREAM.DELETE.{stream}")
    await wire.close()
    return done / elapsed


if __name__ == "__main__":
    url, seconds = sys.argv[1:]
    print(json.dumps({"rate": asyncio.run(measure(url, float(seconds)))}))
