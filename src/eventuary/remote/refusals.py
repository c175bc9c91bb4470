"""What an ERROR frame means: one of the errors of ``eventuary.errors``."""

from eventuary.errors import EventuaryError, ServiceUnavailable
from eventuary.remote.answers import error_named
from eventuary.stomp_frames import Frame, FrameError, Version, unescape


def refusal(frame: Frame) -> EventuaryError:
    """Return what an ERROR frame refuses, and why: by the code in its header ``error``.

    Eventuary's server always sends one. Without it, as from something else that speaks STOMP, it is
    the root of all errors.
    """
    try:
        message = unescape(frame.headers.get("message", b""), Version.V12)
        code = unescape(frame.headers.get("error", b""), Version.V12)
    except FrameError as error:
        return ServiceUnavailable(f"the server answered ERROR, in which {error}")
    return error_named(code, message) if code else EventuaryError(message)
