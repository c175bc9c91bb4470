"""S2: append; of writers who loaded the same version exactly one succeeds, the others learn why."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.acceptance.rest_client import Created, Event, Refused, Rest
from tests.acceptance.server_process import ServerProcess


def test_an_append_follows_the_version_that_was_loaded(rest: Rest) -> None:
    created = rest.create("Account", [Event("Opened")])

    updated = rest.update(
        "Account", created.entity_id, created.entity_version, [Event("Paid"), Event("Closed")]
    )

    assert updated.entity_id == created.entity_id
    assert updated.entity_version == updated.event_ids[-1] > created.entity_version
    stored = rest.find("Account", created.entity_id)
    assert [each.id for each in stored] == created.event_ids + updated.event_ids


def test_of_two_writers_with_the_same_version_one_succeeds(rest: Rest) -> None:
    created = rest.create("Account", [Event("Opened")])
    first = rest.update("Account", created.entity_id, created.entity_version, [Event("First")])

    with pytest.raises(Refused) as refused:
        rest.update("Account", created.entity_id, created.entity_version, [Event("Second")])

    assert (refused.value.status, refused.value.code) == (409, "optimistic_lock_error")
    stored = rest.find("Account", created.entity_id)
    assert [each.id for each in stored] == created.event_ids + first.event_ids


def test_many_writers_at_once_on_one_version(server: ServerProcess, space: str, rest: Rest) -> None:
    version = rest.create("Account", [Event("Opened")], entity_id="shared").entity_version
    together = Barrier(8)

    def write(name: int) -> Created | str:
        with Rest(server.url, space=space) as mine:
            together.wait(30)
            try:
                return mine.update("Account", "shared", version, [Event(f"By{name}")] * 3)
            except Refused as refused:
                return refused.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(write, range(8)))

    (winner,) = [each for each in outcomes if isinstance(each, Created)]
    assert [each for each in outcomes if each != winner] == ["optimistic_lock_error"] * 7
    assert [each.id for each in rest.find("Account", "shared")][1:] == winner.event_ids


def test_counting_together_loses_no_step(server: ServerProcess, space: str, rest: Rest) -> None:
    rest.create("Counter", [Event("Counted", "0")], entity_id="c")

    def count(_: int) -> None:
        with Rest(server.url, space=space) as mine:
            for _ in range(10):
                while True:
                    last = mine.find("Counter", "c")[-1]
                    step = Event("Counted", str(int(last.event_data) + 1))
                    try:
                        mine.update("Counter", "c", last.id, [step])
                    except Refused as refused:
                        if refused.code != "optimistic_lock_error":
                            raise
                    else:
                        break

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(4)))

    assert [each.event_data for each in rest.find("Counter", "c")] == [str(i) for i in range(41)]


def test_an_entity_that_does_not_exist_is_not_updated(rest: Rest) -> None:
    with pytest.raises(Refused) as refused:
        rest.update("Account", "nobody", "1-2", [Event("Paid")])

    assert (refused.value.status, refused.value.code) == (404, "not_found")
    assert rest.find("Account", "nobody") == []


def test_a_triggering_event_is_applied_once(rest: Rest) -> None:
    created = rest.create("Account", [Event("Opened")])
    token = "0000000000000001-0000000000000002.cw"
    updated = rest.update(
        "Account", created.entity_id, created.entity_version, [Event("Paid")], token=token
    )

    with pytest.raises(Refused) as refused:
        rest.update(
            "Account", created.entity_id, updated.entity_version, [Event("Paid")], token=token
        )

    assert (refused.value.status, refused.value.code) == (409, "duplicate_event")
    answer = rest.http.get(
        rest.path("Account", created.entity_id), params={"triggeringEventToken": token}
    )
    assert (answer.status_code, answer.json()["error"]) == (409, "duplicate_event")
    assert len(rest.find("Account", created.entity_id)) == 2
