"""Call: one request, as the operations see it."""

from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from eventuary.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from eventuary.server.principal import Principal
from eventuary.server.v1.decoding import decode_body, decode_query, decode_segment
from eventuary.validation import check_space

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Call:
    """Decodes what an operation asks for, when it asks. All methods raise BadRequest."""

    def __init__(self, request: Request, *, most_bytes: int) -> None:
        self._request = request
        self._most_bytes = most_bytes
        #: Whose key the call came with; None where none is needed.
        self.principal: Principal | None = None

    @property
    def space(self) -> str:
        """The space that the path names, checked; empty where it names none."""
        if "space" not in self._request.path_params:
            return ""
        space = self.segment("space")
        check_space(space)
        return space

    @property
    def receive(self) -> Receive:
        """Tells when the client goes away; call it only after ``body``."""
        return self._request.receive

    def segment(self, name: str) -> str:
        """Return what stands in the path for ``{name}``, decoded."""
        return decode_segment(self._request.path_params[name], name)

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        return self._request.headers.get(name)

    def query(self, wanted: type[_Struct]) -> _Struct:
        """Return the query string as a struct."""
        return decode_query(wanted, self._request.scope["query_string"])

    async def body(self, decoder: msgspec.json.Decoder[_Struct]) -> _Struct:
        """Read the JSON body.

        Raises also PayloadTooLarge and UnsupportedMediaType.
        """
        headers = self._request.headers
        content_type = headers.get("content-type", "application/json")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType(
                f"content-type: {content_type[:80]!r} is not read here; send application/json"
            )
        coding = headers.get("content-encoding", "identity")
        if coding.strip().lower() != "identity":
            raise UnsupportedMediaType(
                f"content-encoding: {coding[:80]!r} is not read here; send the body as it is"
            )
        return decode_body(decoder, await self._read())

    async def _read(self) -> bytes:
        """The HTTP protocol bounds bodies too; this holds behind any ASGI server."""
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in self._request.stream():
                size += len(chunk)
                if size > self._most_bytes:
                    raise PayloadTooLarge(
                        f"body: has more bytes than the limit body_size of {self._most_bytes}"
                    )
                chunks.append(chunk)
        except ClientDisconnect:
            raise BadRequest("body: the client went away before it was complete") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
