"""What JetStream is asked, and how it refuses. Knows nothing of events.

Answers are read from the stream's leader, except those of ``direct_get``, which any replica gives,
and which may be a little old: callers say how new they must be, and ask again until they are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import msgspec
from nats.aio.msg import Msg

from eventuary.engines.jetstream.wire import Lost, Wire, status_of
from eventuary.errors import ServiceUnavailable

#: Error codes of JetStream (its errors.json).
WRONG_LAST_SEQUENCE = 10071
#: Another message of this subject is under way: it is not known yet whether the check will hold.
SUBJECT_IN_PROCESS = 10164
NO_MESSAGE_FOUND = 10037
NO_PEERS = 10005
STREAM_NOT_FOUND = 10059
NAME_EXISTS = 10058
STORE_FAILED = 10077

#: The header that checks what was written to a subject last, and the one that names another.
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"

#: The header that checks what was written to the stream last.
EXPECTED_LAST = "Nats-Expected-Last-Sequence"

#: Seconds for which what is no append is tried: a new leader is elected in less.
PATIENCE = 12.0

#: Seconds until a question is asked again, at first and at most.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25

_Result = TypeVar("_Result")
_Raw = TypeVar("_Raw")


class Asked(Generic[_Raw, _Result]):
    """A question that was asked: to be awaited, or to be forgotten."""

    def __init__(self, answer: asyncio.Future[_Raw], read: Callable[[_Raw], _Result]) -> None:
        self._answer = answer
        self._read = read

    def __await__(self) -> Generator[Any, None, _Result]:
        return self._read((yield from self._answer.__await__()))


class ApiError(msgspec.Struct, frozen=True):
    """Why JetStream refuses. ``code`` is like a status of HTTP; 503: ask again later."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Refused(Exception):
    """JetStream has answered with an error."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(f"JetStream: {error.description} ({error.err_code})")
        self.error = error
        self.code = error.err_code


class NotYet(Exception):
    """The replica that has answered has not got so far."""


class _Answer(msgspec.Struct, frozen=True):
    error: ApiError | None = None


class PublishAnswer(msgspec.Struct, frozen=True):
    """What becomes of a message, or of a batch: the sequence of the last, or an error."""

    seq: int = 0
    error: ApiError | None = None


class _StoredMessage(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    data: bytes = b""  # base64 in JSON


class _MessageAnswer(msgspec.Struct, frozen=True):
    message: _StoredMessage | None = None
    error: ApiError | None = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message of a stream."""

    sequence: int
    subject: str
    data: bytes


class Stretch(msgspec.Struct, frozen=True):
    """Messages in order; ``pending`` more follow. ``through``: of all up to this sequence."""

    messages: list[Message]
    pending: int
    through: int


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_publish = msgspec.json.Decoder(PublishAnswer).decode
_decode_message = msgspec.json.Decoder(_MessageAnswer).decode
_encode = msgspec.json.Encoder().encode


async def call(wire: Wire, subject: str, body: object = None) -> bytes:
    """Call JetStream's API, and return its answer as JSON. Raises Refused and Lost."""
    answer = await wire.ask(f"$JS.API.{subject}", b"" if body is None else _encode(body))
    _check_status(status_of(answer))
    _check(_decode_answer(answer.data).error)
    return answer.data


async def publish(
    wire: Wire, subject: str, payload: bytes, headers: dict[str, str]
) -> PublishAnswer:
    """Publish one message, or the last of a batch. Raises Lost, or PayloadTooLarge."""
    answer = await wire.ask(subject, payload, headers)
    _check_status(status_of(answer))
    return _decode_publish(answer.data)


async def begin_last(wire: Wire, stream: str, subject: str) -> Asked[Msg, Message | None]:
    """Ask a stream's leader for the last message of a subject. Raises Lost.

    Awaiting the answer raises Lost and Refused.
    """
    asked = await wire.begin(f"$JS.API.STREAM.MSG.GET.{stream}", _encode({"last_by_subj": subject}))
    return Asked(asked, _read_last)


def _read_last(answer: Msg) -> Message | None:
    _check_status(status_of(answer))
    found = _decode_message(answer.data)
    if found.error is not None and found.error.err_code == NO_MESSAGE_FOUND:
        return None
    _check(found.error)
    stored = found.message
    return None if stored is None else Message(stored.seq, stored.subject, stored.data)


async def last(wire: Wire, stream: str, subject: str) -> Message | None:
    """Return the last message of a subject; None: there is none. Raises Refused and Lost."""
    return await (await begin_last(wire, stream, subject))


async def begin_direct(wire: Wire, stream: str, body: dict[str, Any]) -> Asked[list[Msg], Stretch]:
    """Ask any replica for several messages. Raises Lost.

    Awaiting the answer raises Lost and Refused.
    """
    asked = await wire.begin_many(f"$JS.API.DIRECT.GET.{stream}", _encode(body))
    return Asked(asked, _read_stretch)


def _read_stretch(answer: list[Msg]) -> Stretch:
    *answers, end = answer
    status = status_of(end)
    if status == "404":
        return Stretch([], 0, 0)
    if status == "413":
        raise Refused(ApiError(413, 413, "too many results"))
    if status != "204":
        raise Lost(f"a replica has answered {status}")
    messages = []
    for each in answers:
        headers = each.headers or {}
        messages.append(Message(int(headers["Nats-Sequence"]), headers["Nats-Subject"], each.data))
    closing = end.headers or {}
    return Stretch(
        messages,
        int(closing.get("Nats-Num-Pending", "0")),
        int(closing.get("Nats-UpTo-Sequence", "0")),
    )


async def direct_get(wire: Wire, stream: str, body: dict[str, Any]) -> Stretch:
    """Return messages as any replica has them. Raises Refused (413: too many) and Lost."""
    return await (await begin_direct(wire, stream, body))


async def persevere(
    wire: Wire, attempt: Callable[[], Awaitable[_Result]], patience: float = PATIENCE
) -> _Result:
    """Return what an attempt returns that was neither lost nor too early.

    For what may be done twice. Raises Refused, and ServiceUnavailable after ``patience`` seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            await wire.is_there(max(0.0, deadline - loop.time()))
            return await attempt()
        except (Lost, NotYet) as error:
            if loop.time() + pause > deadline:
                raise ServiceUnavailable(f"storage: {error}") from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _check_status(status: str) -> None:
    """A status in place of an answer: nobody leads the stream just now, or too much waits."""
    if status:
        raise Lost(f"the cluster has answered {status}")


def _check(error: ApiError | None) -> None:
    if error is None:
        return
    if error.code in (429, 503) and error.err_code != STORE_FAILED:
        raise Lost(error.description)
    raise Refused(error)
