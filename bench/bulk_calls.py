"""A process of its own that fills a store by /v1 calls of 1,000 appends, one after the other.

    python -m bench.bulk_calls PORT CALLS EVENTS_PER_APPEND [CONNECTIONS [FILE FOR ENTITY IDS]]

Prints ``{"rate": appends per second}``. Connections take turns, each in a thread of its own.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import events
from bench.http_connection import HttpConnection

_APPENDS = 1000


def fill(port: int, request: bytes, calls: int, *, keep: bool) -> list[bytes]:
    """Make so many calls on one connection; return the answers if they are to be kept."""
    answers = []
    with HttpConnection(port) as http:
        for _ in range(calls):
            answer = http.call(request)
            assert answer.count(b'"entityVersion"') == _APPENDS, answer[:500]
            if keep:
                answers.append(answer)
    return answers


def main() -> None:
    """Fill once."""
    port, calls, size, *rest = sys.argv[1:]
    connections = int(rest[0]) if rest else 1
    request = events.several(_APPENDS, int(size))
    each_calls = int(calls) // connections
    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        filled = [
            pool.submit(fill, int(port), request, each_calls, keep=len(rest) > 1)
            for _ in range(connections)
        ]
        answers = [answer for each in filled for answer in each.result()]
    seconds = time.perf_counter() - began
    if len(rest) > 1:
        ids = [each["entityId"] for answer in answers for each in json.loads(answer)["outcomes"]]
        Path(rest[1]).write_text("\n".join(ids))
    print(json.dumps({"rate": each_calls * connections * _APPENDS / seconds}))


if __name__ == "__main__":
    main()
