"""The routes under ``/entity/`` as the document describes them; ``server.rest`` answers them."""

from typing import Annotated

import msgspec

from eventuary.errors import Conflict, NotFound
from eventuary.events import Appended, Entity
from eventuary.server.rest.requests import CreateRequest, UpdateRequest
from eventuary.server.v1.operation import Access, Operation, Sample

_TAG = "Entities"
_ENTITY = "/entity/{space}/{entityType}/{entityId}"

_EVENT = {"eventType": "OrderCreated", "eventData": '{"total": 1240}'}
_EVENT_ID = "00000192f0a1b2c3-5f3c9a7e12d40001"
_APPENDED = {
    "entityId": "00000192f0a1b2c3-5f3c9a7e12d40000",
    "entityVersion": _EVENT_ID,
    "eventIds": [_EVENT_ID],
}


class FindQuery(msgspec.Struct, rename="camel"):
    """The query of a find."""

    triggering_event_token: Annotated[
        str | None,
        msgspec.Meta(description="The token of the event that the caller is about to apply."),
    ] = None


def entity_operations() -> list[Operation]:
    """Return them."""
    return [
        Operation(
            method="POST",
            path="/entity/{space}",
            name="createEntity",
            tag=_TAG,
            summary="Create an entity",
            description=(
                "With one event at least. 409 says in `error` why it can't be: `entity_exists`, "
                "or `duplicate_event` when `triggeringEventToken` was applied already."
            ),
            access=Access.WRITE,
            body=CreateRequest,
            answer=Appended,
            errors=(Conflict,),
            sample=Sample(
                body={"entityTypeName": "orders.Order", "events": [_EVENT]}, answer=_APPENDED
            ),
        ),
        Operation(
            method="POST",
            path=_ENTITY,
            name="updateEntity",
            tag=_TAG,
            summary="Append to an entity",
            description=(
                "`entityVersion` is the id of the last event that the caller has read. 409 says "
                "in `error` why nothing was appended: `optimistic_lock_error` when another event "
                "has come since, `duplicate_event` when `triggeringEventToken` was applied already."
            ),
            access=Access.WRITE,
            body=UpdateRequest,
            answer=Appended,
            errors=(NotFound, Conflict),
            sample=Sample(
                body={
                    "entityVersion": _EVENT_ID,
                    "events": [{"eventType": "OrderApproved", "eventData": "{}"}],
                },
                answer=_APPENDED,
            ),
        ),
        Operation(
            method="GET",
            path=_ENTITY,
            name="findEntity",
            tag=_TAG,
            summary="Read an entity's events",
            description=(
                "In order; with a snapshot, those after it. An entity that does not exist has no "
                "events. 409 `duplicate_event`: `triggeringEventToken` was applied to it already."
            ),
            access=Access.READ,
            query=FindQuery,
            answer=Entity,
            errors=(Conflict,),
            sample=Sample(answer={"events": [{"id": _EVENT_ID, **_EVENT}]}),
        ),
    ]
