"""One of the programs in a process of its own: it is told what to do, and says what comes.

Commands and answers are JSON, one object a line, in the order of the commands. Events come whenever
they come; so do notes (a connection that ended, an error frame), which are shown when a test fails.
"""

import queue
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from tests.acceptance.rest_client import Created, Event, Stored
from tests.acceptance.waiting import PATIENCE


class Received(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An event as a subscription of the client was handed it."""

    id: str
    entity_id: str
    entity_type: str
    event_type: str
    event_data: str
    event_token: str
    swimlane: int
    offset: int
    #: Which of the client's subscriptions got it.
    subscriber_id: str
    #: The number by which the client knows what to acknowledge.
    delivery: int


class _Line(msgspec.Struct, frozen=True):
    answer: msgspec.Raw = msgspec.Raw()
    event: Received | None = None
    note: msgspec.Raw = msgspec.Raw()


class _Found(msgspec.Struct, frozen=True):
    events: list[Stored]


class _Sent(msgspec.Struct, frozen=True):
    sent: int


class _Refusal(msgspec.Struct, frozen=True):
    status: int
    error: str | None = None


class Refused(Exception):
    """The client's own error: it knows the status, and of some the body's code."""

    def __init__(self, status: int, code: str | None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Ended(Exception):
    """The program has ended; the text has its notes and what it wrote to standard error."""


_Kind = TypeVar("_Kind")


class ClientProcess:
    """A running client. ``close`` or ``kill`` it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.Queue[msgspec.Raw | None] = queue.Queue()
        self._events: queue.Queue[Received | None] = queue.Queue()
        self._errors: deque[str] = deque(maxlen=200)
        self._output_reader = threading.Thread(target=self._read_output)
        self._errors_reader = threading.Thread(target=self._read_errors)
        self._output_reader.start()
        self._errors_reader.start()

    # ── What it is told ───────────────────────────────────────────────────────────────────────

    def create(
        self, entity_type: str, events: Sequence[Event], *, entity_id: str | None = None
    ) -> Created:
        """Create an entity. Raises Refused."""
        return self._tell(
            Created, "create", entityType=entity_type, entityId=entity_id, events=_encoded(events)
        )

    def update(
        self,
        entity_type: str,
        entity_id: str,
        version: str,
        events: Sequence[Event],
        *,
        token: str | None = None,
    ) -> Created:
        """Append to an entity. Raises Refused."""
        return self._tell(
            Created,
            "update",
            entityType=entity_type,
            entityId=entity_id,
            entityVersion=version,
            events=_encoded(events),
            token=token,
        )

    def find(self, entity_type: str, entity_id: str, *, token: str | None = None) -> list[Stored]:
        """Return an entity's events. Raises Refused."""
        found = self._tell(_Found, "find", entityType=entity_type, entityId=entity_id, token=token)
        return found.events

    def subscribe(
        self,
        subscriber_id: str,
        selection: Mapping[str, Sequence[str]],
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Subscribe, and wait for the receipt if this client asks for one."""
        self._tell(
            dict[str, str],
            "subscribe",
            subscriberId=subscriber_id,
            selection=selection,
            options=options,
        )

    def finish(self, event: Received) -> int:
        """Tell it that the event is handled. Returns how many ACKs that made it send."""
        return self._tell(_Sent, "finish", delivery=event.delivery).sent

    # ── What it says ──────────────────────────────────────────────────────────────────────────

    def next(self) -> Received:
        """Return the next event. Raises Ended."""
        return self._take(self._events, "event")

    def take(self, count: int) -> list[Received]:
        """Return so many events. Raises Ended."""
        return [self.next() for _ in range(count)]

    def forget(self) -> None:
        """Drop the events that have come and were not taken, such as a failed test leaves."""
        while not self._events.empty():
            self.next()

    # ── Its end ───────────────────────────────────────────────────────────────────────────────

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self._wait()

    def close(self) -> None:
        """Let it end by itself, which it does when its standard input ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._wait()
        assert self._process.returncode == 0, "".join(self._errors)

    def wait(self) -> str:
        """Wait until it has ended by itself; return what it wrote to standard error."""
        self._wait()
        return "".join(self._errors)

    def _wait(self) -> None:
        self._process.wait(PATIENCE)
        self._output_reader.join(PATIENCE)
        self._errors_reader.join(PATIENCE)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _tell(self, kind: type[_Kind], what: str, **more: object) -> _Kind:
        assert self._process.stdin is not None
        more = {name: value for name, value in more.items() if value is not None}
        self._process.stdin.write(msgspec.json.encode({"do": what, **more}).decode() + "\n")
        self._process.stdin.flush()
        answer = self._take(self._answers, "answer")
        if b'"status"' in bytes(answer):
            refusal = msgspec.json.decode(answer, type=_Refusal)
            raise Refused(refusal.status, refusal.error)
        return msgspec.json.decode(answer, type=kind)

    def _take(self, source: "queue.Queue[_Kind | None]", what: str) -> _Kind:
        try:
            taken = source.get(timeout=PATIENCE)
        except queue.Empty:
            errors = "".join(self._errors)
            raise AssertionError(f"no {what} within {PATIENCE:g} s\n{errors}") from None
        if taken is None:
            source.put(None)
            self._errors_reader.join(PATIENCE)
            raise Ended("".join(self._errors))
        return taken

    def _read_output(self) -> None:
        decode = msgspec.json.Decoder(_Line).decode
        assert self._process.stdout is not None
        try:
            with self._process.stdout as lines:
                for line in lines:
                    said = decode(line)
                    if bytes(said.answer):
                        self._answers.put(said.answer)
                    elif said.event is not None:
                        self._events.put(said.event)
                    else:
                        self._errors.append(line)
        finally:
            self._answers.put(None)
            self._events.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            self._errors.extend(lines)


def _encoded(events: Sequence[Event]) -> list[dict[str, str]]:
    return [{"eventType": each.event_type, "eventData": each.event_data} for each in events]
