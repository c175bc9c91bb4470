"""What the clients do by REST: create, update, find, and the refusals that they tell apart."""

import json

import pytest

from tests.acceptance.rest_client import Event, Stored
from tests.clients.client_process import ClientProcess, Refused
from tests.clients.conftest import GO, JAVA, NODE, Kind, for_each

pytestmark = [
    for_each(GO, JAVA, NODE),
    pytest.mark.timeout(300),  # the first test of each may build it
]

#: Named as Java names its classes: the clients put it into paths as it is.
ENTITY_TYPE = "net.chrisrichardson.eventstore.example.Bank$Account"

_OPENED = Event("net.example.AccountOpened", json.dumps({"owner": "Zoë \U0001f680", "€": '"\\\n'}))
_CHANGED = Event("net.example.AccountChanged", '{"by": 5}')


def _refusal(kind: Kind, status: int, code: str) -> tuple[int, str | None]:
    return status, code if kind.reads_codes or status == 409 else None


def test_create_update_and_find(client: ClientProcess) -> None:
    created = client.create(ENTITY_TYPE, [_OPENED, _CHANGED])
    assert created.entity_version == created.event_ids[-1]
    updated = client.update(ENTITY_TYPE, created.entity_id, created.entity_version, [_CHANGED])
    assert updated.entity_id == created.entity_id
    assert updated.entity_version == updated.event_ids[-1] > created.entity_version

    assert client.find(ENTITY_TYPE, created.entity_id) == [
        Stored(event_id, event.event_type, event.event_data)
        for event_id, event in zip(
            created.event_ids + updated.event_ids, [_OPENED, _CHANGED, _CHANGED], strict=True
        )
    ]


def test_hundreds_of_events_in_one_call(client: ClientProcess) -> None:
    events = [Event("Counted", json.dumps({"number": number})) for number in range(500)]
    created = client.create(ENTITY_TYPE, events)
    found = client.find(ENTITY_TYPE, created.entity_id)
    assert [each.id for each in found] == created.event_ids
    assert [each.event_data for each in found] == [each.event_data for each in events]


def test_what_does_not_exist_has_no_events(client: ClientProcess) -> None:
    assert client.find(ENTITY_TYPE, "00000000000000aa-00000000000000bb") == []


def test_an_entity_is_created_once_under_an_id(client: ClientProcess, kind: Kind) -> None:
    entity_id = "0000000000000001-0000000000000002"
    assert client.create(ENTITY_TYPE, [_OPENED], entity_id=entity_id).entity_id == entity_id
    with pytest.raises(Refused) as refused:
        client.create(ENTITY_TYPE, [_OPENED], entity_id=entity_id)
    assert (refused.value.status, refused.value.code) == _refusal(kind, 409, "entity_exists")
    assert len(client.find(ENTITY_TYPE, entity_id)) == 1


def test_of_two_updates_of_one_version_one_succeeds(client: ClientProcess, kind: Kind) -> None:
    created = client.create(ENTITY_TYPE, [_OPENED])
    client.update(ENTITY_TYPE, created.entity_id, created.entity_version, [_CHANGED])
    with pytest.raises(Refused) as refused:
        client.update(ENTITY_TYPE, created.entity_id, created.entity_version, [_CHANGED])
    assert (refused.value.status, refused.value.code) == _refusal(
        kind, 409, "optimistic_lock_error"
    )
    assert len(client.find(ENTITY_TYPE, created.entity_id)) == 2


def test_what_does_not_exist_can_not_be_updated(client: ClientProcess, kind: Kind) -> None:
    version = "0000000000000003-0000000000000004"
    with pytest.raises(Refused) as refused:
        client.update(ENTITY_TYPE, "00000000000000cc-00000000000000dd", version, [_CHANGED])
    assert (refused.value.status, refused.value.code) == _refusal(kind, 404, "not_found")
