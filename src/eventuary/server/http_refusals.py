"""What a client is told whose request breaks a limit of HTTP itself, before any route sees it."""

from eventuary.limits import Limits


class Refused(Exception):
    """Raised in a parser's callback: the request goes no further, and the connection ends."""

    def __init__(self, status: int, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.status = status
        self.code = code


def headers_too_large(limits: Limits) -> Refused:
    """All header lines together are too long."""
    return Refused(
        431,
        "headers_too_large",
        f"the headers are over the limit headers_size of {limits.headers_size} bytes",
    )


def line_too_large(line: str, limits: Limits) -> Refused:
    """The request line, or one header, is too long."""
    return Refused(
        431,
        "headers_too_large",
        f"{line} is over the limit header_line_size of {limits.header_line_size} bytes",
    )


def body_too_large(size: str, limits: Limits) -> Refused:
    """The body is, or says that it will be, too long."""
    return Refused(
        413,
        "payload_too_large",
        f"body: {size}, over the limit body_size of {limits.body_size} bytes",
    )


def too_slow(limits: Limits) -> Refused:
    """The request's last byte has not come in time."""
    return Refused(
        408,
        "request_timeout",
        f"the request was not complete after {limits.request_timeout:g} seconds, the limit "
        "request_timeout",
    )


def too_many_connections(limits: Limits) -> Refused:
    """Every connection that may be open is."""
    return Refused(
        503,
        "service_unavailable",
        f"{limits.connections} connections are open, the limit connections; try again",
    )


def too_many_bodies(most_bytes: int) -> Refused:
    """The bodies of all requests together fill the memory that is meant for them."""
    return Refused(
        503,
        "service_unavailable",
        f"overload: bodies of {most_bytes} bytes are on their way; try again",
    )
