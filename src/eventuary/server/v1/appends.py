"""Append to several entities in one call: one decoding, one transaction, one answer.

A thousand appends a call is the ordinary use, so nothing is done per append that can be left out:
the body is decoded into structs at once, and outcomes that are successes are encoded as they came.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.responses import Response

from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import Conflict, EventuaryError
from eventuary.events import Append, Appended, NewEvent, NewSnapshot
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.operation import Access, Operation, Sample


class EntityAppend(
    msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True
):
    """One entity's append: creation without `entityVersion`, update with it."""

    entity_type_name: str
    events: list[NewEvent]
    entity_id: str | None = None
    entity_version: str | None = None
    triggering_event_token: str | None = None
    snapshot: NewSnapshot | None = None


class AppendsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Appends to several entities, in order. `atomic`: all of them, or none."""

    appends: list[EntityAppend]
    atomic: bool = False


class RefusedAppend(msgspec.Struct, frozen=True):
    """The outcome of an append that was refused; nothing of it was written."""

    error: Annotated[str, msgspec.Meta(description="One of the codes of the errors.")]
    explanation: str


# msgspec has no schema for a union of structs without tags; it encodes one as it is.
_Outcome = Annotated[
    object,
    msgspec.Meta(
        extra_json_schema={
            "anyOf": [
                {"$ref": "#/components/schemas/Appended"},
                {"$ref": "#/components/schemas/RefusedAppend"},
            ]
        }
    ),
]


class AppendOutcomes(msgspec.Struct, frozen=True):
    """One outcome for each append, in order."""

    outcomes: Sequence[_Outcome]


class AppendsRefused(msgspec.Struct, frozen=True):
    """An atomic call that was refused: `outcomes` says which append is to blame."""

    error: str
    explanation: str
    outcomes: Sequence[_Outcome]


class AppendRoutes:
    """``POST /v1/spaces/{space}/appends``."""

    def __init__(self, store: EmbeddedEventStore) -> None:
        self._store = store
        self._decoder = msgspec.json.Decoder(AppendsRequest)

    async def append(self, call: Call) -> Response:
        """Append; 409 if the appends were to be atomic and one was refused."""
        request = await call.body(self._decoder)
        space = call.space
        outcomes = await self._store.append_all(
            [
                Append(
                    space,
                    each.entity_type_name,
                    each.entity_id,
                    each.entity_version,
                    each.events,
                    each.triggering_event_token,
                    each.snapshot,
                )
                for each in request.appends
            ],
            atomic=request.atomic,
        )
        shown = [
            each if isinstance(each, Appended) else RefusedAppend(each.code, str(each))
            for each in outcomes
        ]
        if request.atomic and any(isinstance(each, EventuaryError) for each in outcomes):
            return json_answer(
                AppendsRefused(Conflict.code, _first_refusal(outcomes), shown), Conflict.status
            )
        return json_answer(AppendOutcomes(shown))

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        return [
            Operation(
                method="POST",
                path="/v1/spaces/{space}/appends",
                name="appendToSeveral",
                tag="Appends",
                summary="Append to several entities in one call",
                description=(
                    "Each append has its own outcome, in order: `entityId`, `entityVersion` and "
                    "`eventIds` if it is on disk, `error` and `explanation` if it was refused. "
                    "Without `entityVersion` an append creates an entity.\n\n"
                    'With `"atomic": true` all are written or none: if any is refused, the '
                    "answer is 409 and `outcomes` says which."
                ),
                access=Access.WRITE,
                handle=self.append,
                body=AppendsRequest,
                answer=AppendOutcomes,
                refers_to=(Appended, RefusedAppend),
                errors=(Conflict,),
                error_bodies={Conflict.status: AppendsRefused},
                sample=Sample(body=_REQUEST, answer=_ANSWER),
            )
        ]


def _first_refusal(outcomes: Sequence[Appended | EventuaryError]) -> str:
    """Name the append that stopped the others: theirs are Conflict itself, its own says more."""
    refused = [
        (number, each) for number, each in enumerate(outcomes) if isinstance(each, EventuaryError)
    ]
    number, error = next((each for each in refused if type(each[1]) is not Conflict), refused[0])
    return f"nothing was written: appends[{number}] was refused ({error.code}): {error}"


_REQUEST = {
    "appends": [
        {
            "entityTypeName": "orders.Order",
            "events": [{"eventType": "OrderCreated", "eventData": '{"total": 1240}'}],
        },
        {
            "entityTypeName": "customers.Customer",
            "entityId": "alice",
            "events": [{"eventType": "CustomerCreated", "eventData": '{"creditLimit": 5000}'}],
        },
    ],
    "atomic": False,
}

_ANSWER = {
    "outcomes": [
        {
            "entityId": "00000192f0a1b2c3-5f3c9a7e12d40000",
            "entityVersion": "00000192f0a1b2c3-5f3c9a7e12d40001",
            "eventIds": ["00000192f0a1b2c3-5f3c9a7e12d40001"],
        },
        {"error": "entity_exists", "explanation": "entity 'alice' of type ... exists"},
    ]
}
