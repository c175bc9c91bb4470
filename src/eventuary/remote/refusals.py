"""What an ERROR frame means: one of the errors of ``eventuary.errors``.

A header ``error`` with the error's code is believed. Without one, the message's text tells, as
Eventuary's server words it.
"""

import re

from eventuary.errors import (
    BadRequest,
    EventuaryError,
    Forbidden,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)
from eventuary.remote.answers import error_named
from eventuary.stomp_frames import Frame, FrameError, Version, unescape

_BY_TEXT: tuple[tuple[re.Pattern[str], type[EventuaryError]], ...] = (
    (re.compile(r"no key of this id and secret|has been revoked"), Unauthorized),
    (re.compile(r"has no access to space"), Forbidden),
    (re.compile(r"subscription .* was deleted"), NotFound),
    (
        re.compile(
            r"shutting down|closing|limit connections|limit request_timeout|nothing was written"
            r"|unexpected error"
        ),
        ServiceUnavailable,
    ),
)


def refusal(frame: Frame) -> EventuaryError:
    """Return what an ERROR frame refuses, and why."""
    try:
        message = unescape(frame.headers.get("message", b""), Version.V12)
        code = unescape(frame.headers.get("error", b""), Version.V12)
    except FrameError as error:
        return ServiceUnavailable(f"the server answered ERROR, in which {error}")
    if code:
        return error_named(code, message)
    for pattern, kind in _BY_TEXT:
        if pattern.search(message):
            return kind(message)
    return BadRequest(message)
