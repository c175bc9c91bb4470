"""API keys that are stored beside the events: list, make, revoke. A secret is shown once."""

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Annotated, Protocol

import msgspec
from starlette.responses import Response

from eventuary.engines.engine import KeyRecord, KeyStore
from eventuary.errors import BadRequest, Conflict, NotFound, Unauthorized
from eventuary.server.auth import generate_secret, hash_secret, spaces_of
from eventuary.server.principal import ALL_SPACES, Authenticator
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.operation import Access, Operation, Sample
from eventuary.validation import check_space

#: Basic authentication splits at the first colon; the rest is what names may be.
KEY_ID = r"[^:\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}"

_KEY_ID = re.compile(KEY_ID)

#: Spaces of one key.
_MOST_SPACES = 1000


class Keyring(Authenticator, Protocol):
    """An authenticator that is told when the stored keys have changed."""

    def replace_stored(self, records: Iterable[KeyRecord]) -> None:
        """Take over the stored keys as they are now."""


class Key(msgspec.Struct, frozen=True, rename="camel"):
    """A stored key. `createdAt`: milliseconds since the epoch."""

    key_id: str
    spaces: tuple[str, ...]
    read_only: bool
    created_at: int


class KeyList(msgspec.Struct, frozen=True):
    """The stored keys, oldest first; those of the command line are not among them."""

    keys: list[Key]


class NewKeyRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A key to be made."""

    key_id: Annotated[
        str | None, msgspec.Meta(description="Left out: one is made up. It holds no colon.")
    ] = None
    spaces: Annotated[
        list[str],
        msgspec.Meta(max_length=_MOST_SPACES, description="None, or `*`: all spaces."),
    ] = []
    read_only: bool = False


class NewKey(msgspec.Struct, frozen=True, rename="camel"):
    """A new key. The secret is not stored, and can't be shown again."""

    key_id: str
    secret: str
    spaces: tuple[str, ...]
    read_only: bool
    created_at: int


class KeyRevoked(msgspec.Struct, frozen=True):
    """The id of the key that is no more."""

    revoked: str


class KeyRoutes:
    """What is under ``/v1/keys``. Changes happen one at a time, and hold at once."""

    def __init__(self, keys: KeyStore, keyring: Keyring) -> None:
        self._keys = keys
        self._keyring = keyring
        self._decoder = msgspec.json.Decoder(NewKeyRequest)
        self._changing = asyncio.Lock()

    async def list_all(self, call: Call) -> Response:
        """Answer all stored keys."""
        del call  # it names nothing
        records = await asyncio.to_thread(self._keys.list_keys)
        return json_answer(
            KeyList(
                [Key(each.key_id, each.spaces, each.read_only, each.created_at) for each in records]
            )
        )

    async def add(self, call: Call) -> Response:
        """Make a key."""
        request = await call.body(self._decoder)
        key_id = request.key_id if request.key_id is not None else generate_secret()[:16]
        if _KEY_ID.fullmatch(key_id) is None:
            raise BadRequest(
                f"keyId: {key_id[:80]!r} is not 1 to 255 characters without colon, control "
                "characters or surrogates"
            )
        for space in request.spaces:
            if space != ALL_SPACES:
                check_space(space)
        secret = generate_secret()
        record = KeyRecord(
            key_id,
            hash_secret(secret),
            spaces_of(request.spaces),
            request.read_only,
            time.time_ns() // 1_000_000,
        )
        async with self._changing:
            await asyncio.to_thread(self._keys.add_key, record)
            await self._tell()
            await self._check_usable(key_id, secret)
        return json_answer(
            NewKey(key_id, secret, record.spaces, record.read_only, record.created_at)
        )

    async def revoke(self, call: Call) -> Response:
        """Delete a key."""
        key_id = call.segment("keyId")
        async with self._changing:
            await asyncio.to_thread(self._keys.revoke_key, key_id)
            await self._tell()
        return json_answer(KeyRevoked(key_id))

    async def _tell(self) -> None:
        self._keyring.replace_stored(await asyncio.to_thread(self._keys.list_keys))

    async def _check_usable(self, key_id: str, secret: str) -> None:
        """A key that the server was started with goes before a stored one of the same id."""
        try:
            self._keyring.authenticate(key_id, secret)
        except Unauthorized:
            await asyncio.to_thread(self._keys.revoke_key, key_id)
            await self._tell()
            raise Conflict(
                f"key {key_id[:80]!r} is one that the server was started with; choose another id"
            ) from None

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        tag = "API keys"
        return [
            Operation(
                method="GET",
                path="/v1/keys",
                name="listKeys",
                tag=tag,
                summary="List the stored API keys",
                description="Without their secrets: only hashes are stored.",
                access=Access.WRITE_ALL,
                handle=self.list_all,
                answer=KeyList,
                sample=Sample(answer={"keys": [_KEY]}),
            ),
            Operation(
                method="POST",
                path="/v1/keys",
                name="makeKey",
                tag=tag,
                summary="Make an API key",
                description=(
                    "The answer has the secret, which is not shown again. On a server without "
                    "keys, which accepts any credentials, the first key ends that at once."
                ),
                access=Access.WRITE_ALL,
                handle=self.add,
                body=NewKeyRequest,
                answer=NewKey,
                errors=(Conflict,),
                sample=Sample(
                    body={"keyId": "order-history", "spaces": ["default"], "readOnly": True},
                    answer={**_KEY, "secret": "XV0uZQ2nq5mQkR7pYb1vGm3aJ8sT4wE6cH9dK0fLx2o"},
                ),
            ),
            Operation(
                method="DELETE",
                path="/v1/keys/{keyId}",
                name="revokeKey",
                tag=tag,
                summary="Revoke an API key",
                description="At once, on connections that are open too.",
                access=Access.WRITE_ALL,
                handle=self.revoke,
                answer=KeyRevoked,
                errors=(NotFound,),
                sample=Sample(answer={"revoked": "order-history"}),
            ),
        ]


_KEY = {
    "keyId": "order-history",
    "spaces": ["default"],
    "readOnly": True,
    "createdAt": 1731000000000,
}
