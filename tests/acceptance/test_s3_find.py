"""S3: read an entity's events by its key, in order, with their ids."""

from tests.acceptance.rest_client import Event, Rest


def test_events_come_in_order_with_their_ids(rest: Rest) -> None:
    version, ids = None, list[str]()
    for number in range(30):
        event = Event("Step", f'{{"number": {number}, "text": "ä\\u0000\\n"}}')
        appended = (
            rest.create("Trip", [event], entity_id="t")
            if version is None
            else rest.update("Trip", "t", version, [event])
        )
        version = appended.entity_version
        ids += appended.event_ids

    stored = rest.find("Trip", "t")

    assert [each.id for each in stored] == ids == sorted(ids)
    assert [each.event_data for each in stored] == [
        f'{{"number": {number}, "text": "ä\\u0000\\n"}}' for number in range(30)
    ]
    assert all(each.metadata is None for each in stored)


def test_the_key_is_type_and_id(rest: Rest) -> None:
    order = rest.create("Order", [Event("Ordered")], entity_id="1")
    bill = rest.create("Bill", [Event("Billed")], entity_id="1")

    assert [each.id for each in rest.find("Order", "1")] == order.event_ids
    assert [each.id for each in rest.find("Bill", "1")] == bill.event_ids
    assert rest.find("Order", "2") == []


def test_entity_types_with_dots_and_slashes(rest: Rest) -> None:
    created = rest.create("net.example/orders/Order", [Event("Ordered")], entity_id="1")

    escaped = rest.find("net.example/orders/Order", "1")
    raw = rest.http.get(f"/entity/{rest.space}/net.example/orders/Order/1").json()

    assert [each.id for each in escaped] == created.event_ids
    assert [each["id"] for each in raw["events"]] == created.event_ids


def test_metadata_and_snapshots_come_back(rest: Rest) -> None:
    created = rest.http.post(
        f"/entity/{rest.space}",
        json={
            "entityTypeName": "Order",
            "entityId": "s",
            "events": [{"eventType": "Ordered", "eventData": "{}", "metadata": '{"who": "me"}'}],
        },
    ).json()
    updated = rest.http.post(
        rest.path("Order", "s"),
        json={
            "entityVersion": created["entityVersion"],
            "events": [{"eventType": "Paid", "eventData": "{}"}],
            "snapshot": {"snapshotType": "OrderState", "json": '{"paid": true}'},
        },
    ).json()
    rest.update("Order", "s", updated["entityVersion"], [Event("Sent")])

    found = rest.http.get(rest.path("Order", "s")).json()

    assert [each["eventType"] for each in found["events"]] == ["Sent"]
    assert found["snapshot"] == {
        "snapshotType": "OrderState",
        "json": '{"paid": true}',
        "entityVersion": updated["entityVersion"],
    }
    log = rest.http.get(f"/v1/spaces/{rest.space}/log").json()["events"]
    assert log[0]["metadata"] == '{"who": "me"}'
    assert "metadata" not in log[1]
