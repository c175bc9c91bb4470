"""STOMP frames of versions 1.0, 1.1 and 1.2: reading them from any fragments, and writing them.

Sans I/O: bytes in, frames out. Header values stay as they came (``destination`` is echoed byte for
byte); ``unescape`` gives their meaning in a version. Heart-beats between frames are passed over.
Source: the STOMP specifications, "Augmented BNF" and "Value Encoding".
"""

import re
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from eventuary.limits import Limits

#: The blank line that ends a frame's head, or a NUL that comes before one.
_HEAD_END = re.compile(rb"\n\r?\n|\x00")

_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_UNESCAPED = {b"\\": b"\\", b"c": b":", b"n": b"\n", b"r": b"\r"}
_LINE_ENDS = b"\r\n"


class Version(StrEnum):
    """A version of the protocol, as negotiated by CONNECT."""

    V10 = "1.0"
    V11 = "1.1"
    V12 = "1.2"


class FrameError(Exception):
    """What was sent is no frame, or over a limit; the text says which."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame as it came: of a repeated header, the first."""

    command: str
    headers: dict[str, bytes]
    body: bytes = b""


class FrameParser:
    """Fed with whatever arrives, yields the frames that are whole.

    Holds at most one unfinished frame, within the limits, and looks at each byte once however
    small the pieces. After a FrameError nothing more comes of what it is fed.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        #: How much of the buffer is known to hold no end of what is being looked for.
        self._scanned = 0
        self._broken = False
        #: The frame whose head is here and whose body is not, and the body's length if known.
        self._head: Frame | None = None
        self._length: int | None = None

    @property
    def idle(self) -> bool:
        """Whether no frame is under way."""
        return self._head is None and not self._buffer.strip(_LINE_ENDS)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, yield the frames that are whole; each feeding is to be gone through.

        Raises FrameError behind the frames that came before what is wrong.
        """
        if self._broken:
            return
        buffer = self._buffer
        buffer += data
        at = 0
        end = len(buffer)
        try:
            while at < end:
                if self._head is None:
                    while at < end and buffer[at] in _LINE_ENDS:
                        at += 1
                    if at == end:
                        self._scanned = 0
                        break
                    found = _HEAD_END.search(buffer, max(at, self._scanned))
                    if found is None:
                        self._check_head_size(end - at)
                        # A blank line may be cut in two: look at its first bytes again.
                        self._scanned = max(at, end - 2) - at
                        break
                    self._check_head_size(found.start() - at)
                    if buffer[found.start()] == 0:
                        raise FrameError(
                            "a frame ends within its headers: the blank line is missing"
                        )
                    self._head = self._parse_head(bytes(buffer[at : found.start()]))
                    at = found.end()
                    self._scanned = 0
                body_end = self._body_end(buffer, at, end)
                if body_end is None:
                    break
                frame = self._head
                if body_end > at:
                    frame = Frame(frame.command, frame.headers, bytes(buffer[at:body_end]))
                at = body_end + 1
                self._head = None
                self._scanned = 0
                yield frame
        except FrameError:
            self._broken = True
            raise
        finally:
            del buffer[:at]

    def _check_head_size(self, size: int) -> None:
        if size > self._limits.headers_size:
            raise FrameError(
                f"the headers are over the limit headers_size of {self._limits.headers_size} bytes"
            )

    def _body_end(self, buffer: bytearray, at: int, end: int) -> int | None:
        """Return where the NUL behind the body is; None while it is not here."""
        most = self._limits.frame_size
        if self._length is not None:
            if end - at <= self._length:
                return None
            if buffer[at + self._length] != 0:
                raise FrameError(
                    f"content-length: {self._length} bytes of body are not followed by NUL"
                )
            return at + self._length
        body_end = buffer.find(0, at + self._scanned)
        if (end if body_end < 0 else body_end) - at > most:
            raise FrameError(f"a frame's body is over the limit frame_size of {most} bytes")
        if body_end < 0:
            self._scanned = end - at
            return None
        return body_end

    def _parse_head(self, head: bytes) -> Frame:
        lines = head.split(b"\n")
        try:
            command = lines[0].rstrip(b"\r").decode("ascii")
        except UnicodeDecodeError:
            raise FrameError(f"{shown(lines[0], 40)} is not a STOMP command") from None
        headers: dict[str, bytes] = {}
        most = self._limits.header_line_size
        for line in lines[1:]:
            if len(line) > most:
                raise FrameError(
                    f"the header {shown(line, 40)} has {len(line)} bytes, over the "
                    f"limit header_line_size of {most}"
                )
            name, colon, value = line.partition(b":")
            if not colon:
                raise FrameError(f"the header {shown(line, 80)} has no colon")
            if value.endswith(b"\r"):
                value = value[:-1]
            headers.setdefault(name.strip().decode("latin-1"), value)
        self._length = None
        length = headers.get("content-length")
        if length is not None:
            text = length.strip()
            if not text.isdigit() or len(text) > 18:
                raise FrameError(f"content-length: {shown(length, 40)} is not a number of bytes")
            self._length = int(text)
            if self._length > self._limits.frame_size:
                raise FrameError(
                    f"content-length: {self._length} bytes, over the limit frame_size of "
                    f"{self._limits.frame_size} bytes"
                )
        return Frame(command, headers)


def unescape(value: bytes, version: Version) -> str:
    """Return what a header value means. Raises FrameError for an escape the version has not."""
    if version is Version.V10:
        # 1.0 has no escapes, but pads: "a colon and optional space" is how its clients read it.
        return _text(value.strip())
    if b"\\" in value:
        value = _ESCAPE.sub(lambda match: _unescaped(match[1], version), value)
    return _text(value)


def unescape_leniently(value: bytes) -> bytes:
    """Return a value with every known escape of any version undone, and others left alone."""
    return _ESCAPE.sub(lambda match: _UNESCAPED.get(match[1], match[0]), value)


def shown(value: bytes, most: int) -> str:
    """Return what an error shows of bytes that came: text in quotation marks, not over ``most``
    characters; what is no UTF-8 in it is shown as U+FFFD.
    """
    return repr(value.decode("utf-8", "replace")[:most])


def escape(value: str, version: Version) -> bytes:
    """Return a text as a header value (in 1.0, what can't be said there is left out)."""
    encoded = value.encode()
    if version is Version.V10:
        return encoded.replace(b"\n", b" ").replace(b"\r", b"").replace(b"\x00", b"")
    encoded = encoded.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b":", b"\\c")
    carriage_return = b"\\r" if version is Version.V12 else b""
    return encoded.replace(b"\r", carriage_return).replace(b"\x00", b"")


def write_frame(command: str, headers: dict[str, bytes], body: bytes = b"") -> bytes:
    """Return a frame's bytes; header values are escaped already."""
    lines = [command.encode()]
    lines += [b"%b:%b" % (name.encode(), value) for name, value in headers.items()]
    if body:
        lines.append(b"content-length:%d" % len(body))
    return b"\n".join(lines) + b"\n\n" + body + b"\x00"


def _unescaped(character: bytes, version: Version) -> bytes:
    if character == b"r" and version is Version.V11:
        raise FrameError("a header holds the escape '\\r', which STOMP 1.1 does not have")
    try:
        return _UNESCAPED[character]
    except KeyError:
        shown = character.decode("latin-1")
        raise FrameError(f"a header holds the undefined escape '\\{shown}'") from None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise FrameError(f"a header is not UTF-8: {shown(value, 80)}") from None
