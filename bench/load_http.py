"""A process of its own that keeps N connections busy: each sends its next request once answered.

    python -m bench.load_http PORT CONNECTIONS SECONDS create|fixed|find [FILE OF ENTITY IDS]

Prints ``{"rate": answers per second}``. One thread, epoll and raw sockets, so that what it costs
leaves as much as possible of the machine to the server.
"""

import gc
import json
import random
import select
import socket
import sys
import time
from collections.abc import Iterator
from itertools import cycle, repeat
from pathlib import Path

from bench import events
from bench.http_connection import content_length

#: Seconds before counting begins.
_WARM_UP = 0.7


def load(port: int, connections: int, seconds: float, requests: Iterator[bytes]) -> float:
    """Return answers per second. Anything but 200 raises AssertionError."""
    sockets: dict[int, socket.socket] = {}
    poll = select.epoll()
    for _ in range(connections):
        each = socket.create_connection(("127.0.0.1", port))
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[each.fileno()] = each
        poll.register(each, select.EPOLLIN)
    for each in sockets.values():
        each.sendall(next(requests))
    lengths: dict[bytes, int] = {}  # of answers, by their heads: few differ
    partial: dict[int, bytes] = {}  # answers of which a part has come
    answers = 0
    counting = False
    began = time.perf_counter()
    while True:
        for descriptor, _ in poll.poll():
            each = sockets[descriptor]
            data = each.recv(65_536)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            if partial:
                data = partial.pop(descriptor, b"") + data
            end = data.find(b"\r\n\r\n")
            head = data[:end]
            length = lengths.get(head)
            if length is None:
                if end < 0:
                    partial[descriptor] = data
                    continue
                length = lengths[head] = content_length(head)
            if len(data) < end + 4 + length:
                partial[descriptor] = data
                continue
            answers += 1
            each.sendall(next(requests))
        now = time.perf_counter()
        if not counting and now - began >= _WARM_UP:
            counting, began, answers = True, now, 0
        elif counting and now - began >= seconds:
            break
    for each in sockets.values():
        each.close()
    return answers / (now - began)


def _requests(work: str, file: str | None) -> Iterator[bytes]:
    if work == "create":
        return repeat(events.create())
    if work == "fixed":
        return repeat(events.get("/fixed"))
    assert file is not None
    requests = [events.find(each) for each in Path(file).read_text().split()]
    random.Random(1).shuffle(requests)
    return cycle(requests)


def main() -> None:
    """Run one load."""
    port, connections, seconds, work, *rest = sys.argv[1:]
    requests = _requests(work, rest[0] if rest else None)
    gc.disable()
    print(json.dumps({"rate": load(int(port), int(connections), float(seconds), requests)}))


if __name__ == "__main__":
    main()
