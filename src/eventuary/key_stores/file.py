"""The keys of entities in files: a folder, and in it one file for each entity.

``FOLDER/ab/cdef….json`` is named for the hash of the entity's name, and says in JSON whose key it
holds, or when the entity was forgotten. Files are readable for their owner alone. They appear and
change at once, whole and durable, so that any number of processes of one machine may use a folder.
The file system must have hard links.
"""

import asyncio
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from eventuary.errors import ServiceUnavailable
from eventuary.framework.key_store import EntityName
from eventuary.framework.not_found import EntityForgotten

_T = TypeVar("_T")


class _File(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a file says: there is a key, or the entity was forgotten."""

    space: str
    entity_type: str
    entity_id: str
    key: bytes | None = None
    forgotten_at: datetime | None = None


class FileKeyStore:
    """Satisfies ``KeyStore``. ``folder`` is made when the first key is kept."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    async def find(self, entity: EntityName) -> bytes | None:
        """Return the entity's key; None when it has none. Raises EntityForgotten."""
        return await self._in_a_thread(self._find, entity)

    async def keep(self, entity: EntityName, key: bytes) -> bytes:
        """Keep a key for an entity that has none; return the one it has. Raises EntityForgotten."""

        def keep(entity: EntityName) -> bytes:
            if self._link(entity, _File(*entity, key=key)):
                return key
            present = self._find(entity)
            if present is None:
                raise OSError(f"somebody removed the key of {entity}, which had just been there")
            _make_durable(self._path(entity).parent)  # whoever made it may not be that far yet
            return present

        return await self._in_a_thread(keep, entity)

    async def destroy(self, entity: EntityName) -> bool:
        """Destroy the entity's key for ever; return whether there was one.

        The file becomes one that says so, and then what was in it is overwritten. Whether that
        reaches the medium is up to the file system and the disk: they may keep old blocks.
        """
        return await self._in_a_thread(self._destroy, entity)

    async def _in_a_thread(self, function: Callable[[EntityName], _T], entity: EntityName) -> _T:
        try:
            return await asyncio.to_thread(function, entity)
        except OSError as error:
            raise ServiceUnavailable(
                f"the key store {str(self._folder)!r} can't be used: {error}"
            ) from error

    # ── In a thread ───────────────────────────────────────────────────────────────────────────

    def _path(self, entity: EntityName) -> Path:
        digest = entity.digest
        return self._folder / digest[:2] / f"{digest[2:]}.json"

    def _find(self, entity: EntityName) -> bytes | None:
        path = self._path(entity)
        try:
            file = _parse(path.read_bytes(), entity)
            if file is None:
                # It was read while it was being destroyed; now there is another one in its place.
                file = _parse(path.read_bytes(), entity)
        except FileNotFoundError:
            return None
        if file is None:
            raise OSError(f"{path} is not the key of {entity}: it is damaged; restore it")
        if file.key is None:
            raise EntityForgotten(
                f"{entity} was forgotten at {file.forgotten_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        return file.key

    def _destroy(self, entity: EntityName) -> bool:
        tombstone = _File(*entity, forgotten_at=datetime.now(UTC))
        if self._link(entity, tombstone):
            return False
        path = self._path(entity)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            present = _parse(os.read(descriptor, 65536), entity)
            if present is not None and present.key is None:
                return False
            fresh = self._write(path, tombstone)
            os.rename(fresh, path)
            _make_durable(path.parent)
            # The old file has no name any more, and perhaps still its blocks.
            length = os.fstat(descriptor).st_size
            os.pwrite(descriptor, bytes(length), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True

    def _link(self, entity: EntityName, file: _File) -> bool:
        """Let an entity's file appear, if there is none: all of it at once, and durable."""
        path = self._path(entity)
        for folder in (self._folder, path.parent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make_durable(folder.parent)
        fresh = self._write(path, file)
        try:
            os.link(fresh, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(fresh)
        _make_durable(path.parent)
        return True

    @staticmethod
    def _write(path: Path, file: _File) -> Path:
        """Write a file beside the one it is to become."""
        fresh = path.with_name(f"{path.stem}.{secrets.token_hex(8)}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as opened:
            opened.write(msgspec.json.encode(file))
            opened.flush()
            os.fsync(descriptor)
        return fresh


def _parse(content: bytes, entity: EntityName) -> _File | None:
    """Return what a file says; None when that is not about this entity, or nothing."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError:
        return None
    if (file.space, file.entity_type, file.entity_id) != tuple(entity):
        return None
    if file.key is None and file.forgotten_at is None:
        return None
    return file


def _make_durable(folder: Path) -> None:
    """Return when the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
