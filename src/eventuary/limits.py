"""What a server accepts at most. Sizes are in bytes, durations in seconds."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Each can be configured; each is named in the error that going over it gives."""

    #: Body of one HTTP request.
    body_size: int = 10 * 1024 * 1024
    #: Events in one append.
    events_per_append: int = 10_000
    #: Appends in one /v1 call.
    appends_per_call: int = 10_000
    #: ``eventData`` of one event (and its metadata, and a snapshot's JSON), in UTF-8.
    event_data_size: int = 1024 * 1024
    #: One header line, of HTTP or STOMP.
    header_line_size: int = 16 * 1024
    #: All header lines of one request or frame.
    headers_size: int = 64 * 1024
    #: Body of one STOMP frame, its headers not included; and one message of a WebSocket.
    frame_size: int = 1024 * 1024
    #: Connections open at a time, HTTP and STOMP each.
    connections: int = 2000
    #: SUBSCRIBEs open at a time on one STOMP connection.
    subscriptions_per_connection: int = 100
    #: Event types that one subscription selects.
    event_types_per_subscription: int = 1000
    #: From a request's first byte to its last, and from a STOMP connection to its CONNECT.
    request_timeout: float = 30.0
    #: An HTTP connection without a request.
    keep_alive_timeout: float = 75.0
    #: A STOMP connection that takes no bytes although some wait.
    write_timeout: float = 60.0
    #: Appends that wait for the disk; more are answered 503.
    waiting_appends: int = 20_000
    #: Bytes of events that wait for the disk; more are answered 503.
    waiting_bytes: int = 64 * 1024 * 1024
