"""S1: create an entity with events; an empty sequence is refused, and nothing is stored."""

import re

import pytest

from tests.acceptance.rest_client import Event, Refused, Rest

_INT128 = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")


def test_an_entity_is_created_with_its_events(rest: Rest) -> None:
    created = rest.create("orders.Order", [Event("Created", '{"total": 1}'), Event("Priced")])

    assert _INT128.fullmatch(created.entity_id)
    assert len(created.event_ids) == 2
    assert all(_INT128.fullmatch(each) for each in created.event_ids)
    assert created.event_ids == sorted(set(created.event_ids))
    assert created.entity_version == created.event_ids[-1]
    stored = rest.find("orders.Order", created.entity_id)
    assert [(each.id, each.event_type, each.event_data) for each in stored] == [
        (created.event_ids[0], "Created", '{"total": 1}'),
        (created.event_ids[1], "Priced", "{}"),
    ]


def test_an_empty_sequence_is_refused_and_nothing_is_stored(rest: Rest) -> None:
    with pytest.raises(Refused) as refused:
        rest.create("orders.Order", [], entity_id="empty")

    assert (refused.value.status, refused.value.code) == (400, "bad_request")
    assert "events" in refused.value.body["explanation"]
    assert rest.find("orders.Order", "empty") == []
    log = rest.http.get(f"/v1/spaces/{rest.space}/log").json()
    assert log["events"] == []
    # The id is still free.
    assert rest.create("orders.Order", [Event("Created")], entity_id="empty").event_ids


def test_several_hundred_events_in_one_call(rest: Rest) -> None:
    created = rest.create("orders.Order", [Event("Line", f'{{"line": {i}}}') for i in range(700)])

    stored = rest.find("orders.Order", created.entity_id)
    assert [each.id for each in stored] == created.event_ids
    assert [each.event_data for each in stored] == [f'{{"line": {i}}}' for i in range(700)]


@pytest.mark.parametrize("entity_id", ["alice", "a b", "Grüße", "a?b#c%2Fd", "x" * 255])
def test_a_client_may_choose_the_id(rest: Rest, entity_id: str) -> None:
    created = rest.create("orders.Order", [Event("Created")], entity_id=entity_id)

    assert created.entity_id == entity_id
    assert [each.id for each in rest.find("orders.Order", entity_id)] == created.event_ids
    with pytest.raises(Refused) as refused:
        rest.create("orders.Order", [Event("Created")], entity_id=entity_id)
    assert (refused.value.status, refused.value.code) == (409, "entity_exists")
    assert len(rest.find("orders.Order", entity_id)) == 1
