"""P12: an approved order sends one e-mail through Amazon SES, however often its event is delivered.

SES is moto's HTTP server, in a process of its own.
"""

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from eventuary.tokens import event_token
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.service_process import ServiceProcess
from tests.acceptance.shop import ORDER, Shop, decoded
from tests.acceptance.waiting import wait_until
from tests.integrations.moto_process import ENVIRONMENT, MotoProcess

SENDERS = "shop.example"

DEAD_LETTERS = "/v1/spaces/default/subscriptions/notification-service/dead-letters"


@pytest.fixture(scope="module")
def ses() -> Iterator[MotoProcess]:
    with MotoProcess(SENDERS) as ses:
        yield ses


@pytest.fixture(scope="module")
def shop(ses: MotoProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("shop")
    server = ServerProcess(directory).start()
    shop = Shop(server, directory, mailer=ses.mailer_url, environment=ENVIRONMENT)
    try:
        shop.start()
        yield shop
        shop.end()
    finally:
        shop.close()
        server.close()


def approved_order(shop: Shop) -> str:
    order = shop.place_order(shop.create_customer("100"), "99.99")
    shop.wait_for_state(order, "APPROVED")
    return order


def emails_about(ses: MotoProcess, order: str) -> list[EmailMessage]:
    return [each for each in ses.sent() if order in each["Subject"]]


def waits_for(shop: Shop) -> dict[str, str]:
    """Return what the notification service, which is ready all the time, says that it waits for.

    But for moments in which its store is too busy to answer: then it says nothing.
    """
    answer = httpx.get(f"{shop.url('notifications')}/health/ready", timeout=30)
    if answer.status_code == 503:
        return {}
    assert answer.status_code == 200, answer.text
    waits: dict[str, str] = answer.json().get("waitsFor", {})
    return waits


def test_p12_an_approved_order_sends_one_email(shop: Shop, ses: MotoProcess) -> None:
    order = approved_order(shop)
    shop.settle()
    [email] = emails_about(ses, order)
    assert email["From"] == "Customers and Orders <orders@shop.example>"
    assert email["To"].endswith("@customers.example")
    assert "99.99" in email.get_content()

    # Its key is the event's token, and the store has what SES said: it is part of the causal chain.
    _, approval = shop.events_of(ORDER, order)
    token = event_token("notification-service", approval.id)
    assert email["X-Eventuary-Key"] == token
    [record] = [
        each for each in shop.log("eventuary.OutsideCall") if each.triggering_event_token == token
    ]
    assert record.event_type == "OutsideCallMade"
    assert record.data["key"] == token
    assert record.data["receipt"] in ses.ids()


def test_p12_nothing_is_sent_for_what_is_not_approved(shop: Shop, ses: MotoProcess) -> None:
    order = shop.place_order(shop.create_customer("1"), "2")
    shop.wait_for_state(order, "REJECTED")
    shop.settle()
    assert emails_about(ses, order) == []


def test_p12_a_redelivered_event_sends_no_second_email(shop: Shop, ses: MotoProcess) -> None:
    order = approved_order(shop)
    wait_until(lambda: len(emails_about(ses, order)) == 1, "the e-mail is sent")
    shop.settle()
    # As after a crash: the process is killed, and everything is delivered to another again.
    [notifier] = shop.services["notifications"]
    notifier.kill()
    shop.subscription("notifications", "reset", to="beginning")
    assert shop.subscription("notifications").lag > 0
    before = ses.ids()
    notifier.start()
    shop.settle()
    assert shop.subscription("notifications").lag == 0
    assert ses.ids() == before
    assert len(emails_about(ses, order)) == 1


def test_p12_while_ses_is_down_the_subscription_pauses_and_nothing_is_given_up(
    shop: Shop, ses: MotoProcess
) -> None:
    shop.settle()
    ses.stop()
    orders = [approved_order(shop) for _ in range(3)]
    wait_until(
        lambda: waits_for(shop) == {"notification-service": "mail"}, "the notifier waits for SES"
    )
    wait_until(
        lambda: shop.subscription("notifications").consumers == 0, "the subscription is left"
    )
    orders.append(approved_order(shop))
    for name in ("customers", "orders", "order_history"):
        wait_until(lambda: shop.subscription(name).lag == 0, f"{name} goes on")  # noqa: B023
    assert shop.subscription("notifications").dead_letters == 0
    ses.start()
    wait_until(lambda: waits_for(shop) == {}, "the notifier goes on")
    shop.settle()
    assert [len(emails_about(ses, each)) for each in orders] == [1] * 4
    assert shop.subscription("notifications").dead_letters == 0


def test_p12_when_ses_says_no_for_good_it_is_a_dead_letter_with_the_reason(
    shop: Shop, ses: MotoProcess
) -> None:
    ses.forget(SENDERS)
    order = approved_order(shop)
    letters = f"{shop.server.url}{DEAD_LETTERS}"

    def parked() -> list[dict[str, object]]:
        return decoded(shop.http.get(letters), dict[str, list[dict[str, object]]])["deadLetters"]

    wait_until(lambda: len(parked()) == 1, "it is a dead letter")
    [letter] = parked()
    assert (letter["entityId"], letter["eventType"]) == (order, "OrderApproved")
    assert letter["attempts"] == 1
    assert str(letter["reason"]).startswith("Refused: SES says MessageRejected: ")
    assert "orders@shop.example" in str(letter["reason"])

    # Others are not held up by it; mended, and replayed, it is sent.
    ses.verify(SENDERS)
    other = approved_order(shop)
    wait_until(lambda: len(emails_about(ses, other)) == 1, "others' e-mails are sent")
    assert emails_about(ses, order) == []
    assert shop.http.post(f"{letters}/{letter['position']}/replay").status_code == 200
    wait_until(lambda: len(emails_about(ses, order)) == 1, "it is sent")
    wait_until(lambda: parked() == [], "no dead letter is left")


def test_p12_what_names_no_mailer_is_told_in_one_line(tmp_path: Path) -> None:
    service = ServiceProcess(
        "customers_and_orders.notifications", "memory:", tmp_path, "--mailer=pigeon:home"
    )
    with pytest.raises(AssertionError, match="did not start"):
        service.start()
    assert service.wait() == 2
    assert service.log == (
        "notification service: 'pigeon:home' names no mailer; write ses:?region=…, "
        "smtp://host:port or outbox:FOLDER\n"
    )
