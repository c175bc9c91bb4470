"""An entity's whole history, and snapshots stored apart from appends."""

from typing import Annotated

import msgspec
from starlette.responses import Response

from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import NotFound
from eventuary.events import EntityEvent, NewSnapshot
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.operation import Access, Operation, Sample

_ENTITY = "/v1/spaces/{space}/entities/{entityType}/{entityId}"

_EVENT_ID = "00000192f0a1b2c3-5f3c9a7e12d40001"


class HistoryQuery(msgspec.Struct, frozen=True):
    """Where to begin."""

    after: Annotated[
        str | None,
        msgspec.Meta(description="A version: only the events after it. Left out: all."),
    ] = None


class History(msgspec.Struct, frozen=True):
    """Events of an entity, in order; none when it does not exist, or nothing came after."""

    events: list[EntityEvent]


class SnapshotRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The state of an entity at a version, which is the id of one of its events."""

    entity_version: str
    snapshot_type: str
    json: str


class SnapshotStored(msgspec.Struct, frozen=True, rename="camel"):
    """The version at which loads may begin from now on; a newer snapshot stays where it is."""

    entity_version: str


class HistoryRoutes:
    """What is under ``/v1/spaces/{space}/entities``."""

    def __init__(self, store: EmbeddedEventStore) -> None:
        self._store = store
        self._snapshot = msgspec.json.Decoder(SnapshotRequest)

    async def history(self, call: Call) -> Response:
        """Answer all events, whatever snapshot there is."""
        query = call.query(HistoryQuery)
        return json_answer(
            History(
                await self._store.history(
                    call.space,
                    call.segment("entityType"),
                    call.segment("entityId"),
                    after=query.after,
                )
            )
        )

    async def store_snapshot(self, call: Call) -> Response:
        """Keep a state."""
        request = await call.body(self._snapshot)
        await self._store.store_snapshot(
            call.space,
            call.segment("entityType"),
            call.segment("entityId"),
            request.entity_version,
            NewSnapshot(request.snapshot_type, request.json),
        )
        return json_answer(SnapshotStored(request.entity_version))

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        tag = "Entities"
        return [
            Operation(
                method="GET",
                path=_ENTITY + "/events",
                name="readHistory",
                tag=tag,
                summary="Read an entity's whole history",
                description=(
                    "Unlike a find, whatever snapshot there is. Percent-encode type and id, `/` "
                    "as `%2F`."
                ),
                access=Access.READ,
                handle=self.history,
                query=HistoryQuery,
                answer=History,
                sample=Sample(
                    answer={
                        "events": [
                            {
                                "id": _EVENT_ID,
                                "eventType": "OrderCreated",
                                "eventData": '{"total": 1240}',
                            }
                        ]
                    }
                ),
            ),
            Operation(
                method="PUT",
                path=_ENTITY + "/snapshot",
                name="storeSnapshot",
                tag=tag,
                summary="Store a snapshot",
                description=(
                    "Finds of the entity then answer it, and the events after it. One that is "
                    "older than the stored one is passed over."
                ),
                access=Access.WRITE,
                handle=self.store_snapshot,
                body=SnapshotRequest,
                answer=SnapshotStored,
                errors=(NotFound,),
                sample=Sample(
                    body={
                        "entityVersion": _EVENT_ID,
                        "snapshotType": "Order/1",
                        "json": '{"total": 1240}',
                    },
                    answer={"entityVersion": _EVENT_ID},
                ),
            ),
        ]
