"""What an HTTP answer means: a result, or one of the errors of ``eventuary.errors``."""

from typing import TypeVar

import msgspec

from eventuary import errors
from eventuary.errors import EventuaryError
from eventuary.events import EntityEvent
from eventuary.remote.http_connection import Answer
from eventuary.stomp_frames import shown


class History(msgspec.Struct, frozen=True):
    """An entity's events."""

    events: list[EntityEvent]


class CaughtUp(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a subscription has caught up."""

    caught_up: bool


class _Failure(msgspec.Struct, frozen=True):
    error: str
    explanation: str = ""


_decode_failure = msgspec.json.Decoder(_Failure).decode

_BY_CODE: dict[str, type[EventuaryError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EventuaryError)
}

_Result = TypeVar("_Result")


def result_of(answer: Answer, decoder: msgspec.json.Decoder[_Result]) -> _Result:
    """Return what a success holds. Raises EventuaryError for one that no server of ours sends."""
    try:
        return decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventuaryError(
            f"the answer is not what an event store answers: {error}: {shown(answer.body, 200)}"
        ) from None


def error_of(answer: Answer) -> EventuaryError:
    """Return the error that a failure tells: by its code; of an unknown one, the root."""
    try:
        failure = _decode_failure(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # From something between us and the server.
        return EventuaryError(f"status {answer.status}: {shown(answer.body, 200)}")
    return error_named(failure.error, failure.explanation)


def error_named(code: str, explanation: str) -> EventuaryError:
    """Return the error of a code, as both wires tell it."""
    kind = _BY_CODE.get(code, EventuaryError)
    return kind(explanation if kind is not EventuaryError else f"{code}: {explanation}")
