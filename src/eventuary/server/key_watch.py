"""Notices, within about a second, that another process has added or revoked stored keys."""

import asyncio
import logging

from eventuary.engines.engine import KeyRecord, KeyStore
from eventuary.server.auth import KeyAuthenticator

_log = logging.getLogger("eventuary.auth")

#: Seconds between two looks.
_INTERVAL = 0.75


class KeyWatch:
    """Reads the stored keys again and again, off the loop's thread."""

    def __init__(
        self, keys: KeyStore, authenticator: KeyAuthenticator, known: list[KeyRecord]
    ) -> None:
        self._keys = keys
        self._authenticator = authenticator
        self._known = known
        self._failing = False

    async def run(self) -> None:
        """Watch until cancelled. While the keys can't be read, those known last hold."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                records = await asyncio.to_thread(self._keys.list_keys)
            except Exception as error:  # noqa: BLE001 - storage may come back; the watch must live
                if not self._failing:
                    _log.warning("stored keys can't be read, those known last hold: %s", error)
                self._failing = True
                continue
            self._failing = False
            if records != self._known:
                self._take(records)

    def _take(self, records: list[KeyRecord]) -> None:
        was_open = self._authenticator.open_access
        self._known = records
        self._authenticator.replace_stored(records)
        _log.info("stored keys have changed: %d now", len(records))
        if was_open and not self._authenticator.open_access:
            _log.info("open access has ended: there is a key now")
