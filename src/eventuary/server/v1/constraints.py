"""What the schemas of structs can't say and ``eventuary.validation`` checks: names, ids, sizes.

Kept apart from the structs, which are decoded on the hot path and checked once, further down.
"""

from collections.abc import Mapping

import msgspec

from eventuary.delivery.policy import DeliveryPolicy
from eventuary.limits import Limits
from eventuary.validation import MOST_NAME_CHARACTERS, MOST_TOKEN_CHARACTERS

Constraint = Mapping[str, object]

_NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NO_CONTROL_NO_SLASH = r"^[^/\x00-\x1f\x7f-\x9f]*$"

NAME: Constraint = {"minLength": 1, "maxLength": MOST_NAME_CHARACTERS, "pattern": _NO_CONTROL}
SEGMENT: Constraint = {**NAME, "pattern": _NO_CONTROL_NO_SLASH}
SUBSCRIBER: Constraint = {**NAME, "pattern": r'^[^"\\\x00-\x1f\x7f-\x9f]*$'}
KEY_ID: Constraint = {**NAME, "pattern": r"^[^:\x00-\x1f\x7f-\x9f]*$"}
TOKEN: Constraint = {**NAME, "maxLength": MOST_TOKEN_CHARACTERS}
VERSION: Constraint = {
    "pattern": "^[0-9a-fA-F]{1,16}-[0-9a-fA-F]{1,16}$",
    "description": "The id of one of the entity's events; to append, of its last one.",
}

#: Path parameters by name.
PATH_PARAMETERS: Mapping[str, Constraint] = {
    "space": {
        "description": "The space; `default` when there is no other.",
        "schema": {"type": "string", **SEGMENT},
        "example": "default",
    },
    "entityType": {
        "description": "The entity type, percent-encoded or raw.",
        "schema": {"type": "string", **NAME},
        "example": "orders.Order",
    },
    "entityId": {
        "description": "The entity's id.",
        "schema": {"type": "string", **SEGMENT},
        "example": "00000192f0a1b2c3-5f3c9a7e12d40000",
    },
    "subscriberId": {
        "description": "The subscriber's id, percent-encoded, `/` as `%2F`.",
        "schema": {"type": "string", **SUBSCRIBER},
        "example": "order-history",
    },
    "position": {
        "description": "The event's position in the log.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "example": 1238,
    },
    "keyId": {
        "description": "The key's id.",
        "schema": {"type": "string", **KEY_ID},
        "example": "order-history",
    },
}


#: An append names its entity if it names a version.
_UPDATE_OR_CREATION: Constraint = {
    "anyOf": [
        {"properties": {"entityVersion": {"type": "null"}}},
        {"properties": {"entityId": {"type": "string"}}, "required": ["entityId"]},
    ]
}

#: Constraints of whole structs.
WHOLE: Mapping[str, Constraint] = {"EntityAppend": _UPDATE_OR_CREATION}


def body_constraints(limits: Limits, policy: DeliveryPolicy) -> dict[str, dict[str, Constraint]]:
    """Return constraints by struct and property; ``policy`` is what a PolicyRequest fills up."""
    data: Constraint = {
        "maxLength": limits.event_data_size,
        "description": f"At most {limits.event_data_size} bytes of UTF-8; never interpreted.",
    }
    events: Constraint = {"minItems": 1, "maxItems": limits.events_per_append}
    writing: dict[str, Constraint] = {
        "entityTypeName": NAME,
        "entityId": SEGMENT,
        "entityVersion": VERSION,
        "triggeringEventToken": TOKEN,
        "events": events,
    }
    rules: dict[str, Constraint] = {
        name: {"default": value} for name, value in msgspec.to_builtins(policy).items()
    }
    for name in ("window", "maxAttempts"):
        rules[name] = {**rules[name], "type": "integer"}
    snapshot: dict[str, Constraint] = {"snapshotType": {"maxLength": 1024}, "json": data}
    return {
        "NewEvent": {"eventType": NAME, "eventData": data, "metadata": data},
        "NewSnapshot": snapshot,
        "SnapshotRequest": {"entityVersion": VERSION, **snapshot},
        "HistoryQuery": {"after": VERSION},
        "CreateRequest": writing,
        "UpdateRequest": writing,
        "EntityAppend": writing,
        "AppendsRequest": {"appends": {"minItems": 1, "maxItems": limits.appends_per_call}},
        "PolicyRequest": rules,
        "NewKeyRequest": {"keyId": KEY_ID, "spaces": {"items": {"type": "string", **SEGMENT}}},
        "FindQuery": {"triggeringEventToken": {**TOKEN, "minLength": 0}},
    }


def constrain(schema: dict[str, object], constraint: Constraint) -> None:
    """Lay a constraint over a schema; over the branch that is not null, where null is allowed."""
    branches = schema.get("anyOf")
    if isinstance(branches, list):
        for branch in branches:
            if branch.get("type") != "null":
                constrain(branch, constraint)
    else:
        schema.update(constraint)
