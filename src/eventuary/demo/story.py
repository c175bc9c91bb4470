"""What the demonstration shows, act by act; each claim is checked as it is made."""

import contextlib
import tempfile
import threading
import time
from pathlib import Path

from eventuary.demo.chronicle import Chronicle
from eventuary.demo.company import KEEPS, Company, NoExample
from eventuary.demo.crowd import Crowd
from eventuary.demo.ordering import Ordering
from eventuary.demo.stage import Stage, coloured


def tell(*, keep: bool) -> bool:
    """Tell the story; return whether every promise in it was kept.

    ``keep``: let everything run on at the end, until Ctrl-C.
    """
    stage = Stage()
    stage.open(
        "Place Order",
        "An order is approved if its customer's credit suffices. Orders and\n"
        "customers are in services of their own, which share nothing but events.",
    )
    with tempfile.TemporaryDirectory(prefix="eventuary-demo-") as directory:
        try:
            company = Company(Path(directory))
        except NoExample as error:
            stage.check(False, str(error))
            return False
        try:
            story = _Story(stage, company)
            story.tell()
            if keep:
                story.keep()
            story.stop()
        finally:
            company.kill()
    stage.close(
        "Every promise was kept",
        "Try it by hand               [bold]make demo KEEP=1[/]\n"
        "Read how it is done          [bold]examples/customers_and_orders[/]",
    )
    return stage.failures == 0


class _Story:
    """The acts, and what goes from one to the next."""

    def __init__(self, stage: Stage, company: Company) -> None:
        self._stage = stage
        self._company = company
        self._chronicle = Chronicle(company)
        self._ordering = Ordering(stage, company, self._chronicle)
        self._ada = ""

    def tell(self) -> None:
        """Play all acts."""
        self._start()
        self._approve()
        self._reject()
        self._nobody()
        self._cancel()
        self._ten_at_once()
        self._kill_a_service()
        self._kill_the_server()
        self._history()
        self._emails()

    def _start(self) -> None:
        self._stage.act("Start an event store server and four services, each a process")
        began = time.monotonic()
        self._company.start()
        seconds = time.monotonic() - began
        server = self._company.server
        rows = [("server", server.url, str(server.pid), "all events, in SQLite")]
        rows += [
            (name.replace("_", " "), process.url, str(process.pid), KEEPS[name])
            for name, process in self._company.services.items()
        ]
        self._stage.table(("process", "address", "pid", "what it keeps"), rows)
        self._stage.say(f"Ready after {seconds:.1f} s.")

    def _approve(self) -> None:
        self._stage.act("Ada, who may owe 100, orders for 30")
        self._ada = self._ordering.create_customer("Ada", "100.00")
        order = self._ordering.place(self._ada, "30.00")
        self._ordering.show_decision(order)
        self._stage.check(
            self._ordering.state(order) == "APPROVED",
            "approved: the store told each service what had happened",
        )

    def _reject(self) -> None:
        self._stage.act("She orders for 80, and only 70 are left")
        order = self._ordering.place(self._ada, "80.00")
        self._ordering.show_decision(order)
        self._stage.check(
            (self._ordering.state(order), self._ordering.credit(self._ada))
            == ("REJECTED", "70.00"),
            "rejected, and nothing is held for it",
        )

    def _nobody(self) -> None:
        self._stage.act("Somebody orders whom nobody knows")
        order = self._ordering.place("nobody", "10.00")
        self._ordering.show_decision(order)
        self._stage.check(
            self._ordering.state(order) == "REJECTED",
            "rejected: that, too, is an answer, and an event",
        )

    def _cancel(self) -> None:
        self._stage.act("Ada cancels her first order, twice")
        order = self._ordering.orders[0]
        self._ordering.cancel(order)
        self._ordering.cancel(order)
        self._chronicle.follow(lambda: bool(self._chronicle.count(self._ada, "CreditReleased")))
        self._ordering.show_causes(order, "OrderCancelled", "CreditReleased")
        credit = self._ordering.credit(self._ada)
        self._stage.check(
            self._chronicle.count(order, "OrderCancelled") == 1 and credit == "100.00",
            f"cancelled once, and {credit} can be reserved again",
        )

    def _ten_at_once(self) -> None:
        self._stage.act("Grace, who may owe 100, orders ten times at once, each for 30")
        grace = self._ordering.create_customer("Grace", "100.00")
        crowd = Crowd(self._company, grace, "30.00", buyers=10, each=1)
        crowd.join()
        self._ordering.wait_for_decisions(crowd.answered)
        states = sorted(self._ordering.state(order) for order in crowd.answered)
        for row in (states[:5], states[5:]):
            self._stage.say(" ".join(coloured(state) for state in row))
        credit = self._ordering.credit(grace)
        self._stage.check(
            states == ["APPROVED"] * 3 + ["REJECTED"] * 7 and credit == "10.00",
            f"three are approved, however they met; {credit} is left",
        )

    def _kill_a_service(self) -> None:
        self._stage.act("kill -9 the customer service, and order")
        service = self._company.services["customers"]
        self._stage.say(f"[green]$ kill -9 {service.pid}[/]")
        service.kill()
        order = self._ordering.place(self._ada, "55.00")
        self._chronicle.follow(lambda: bool(self._chronicle.of(order)))
        self._stage.check(
            self._ordering.state(order) == "CREATED", "the order is taken all the same, and waits"
        )
        seconds = service.start()
        self._stage.say(f"The service is back after {seconds:.1f} s; it had nothing to lose.")
        self._ordering.show_decision(order)
        self._stage.check(
            self._ordering.state(order) == "APPROVED",
            "it is told what happened while it was away",
        )

    def _kill_the_server(self) -> None:
        self._stage.act("Forty orders for Linus, who may owe 100; meanwhile kill -9 the server")
        linus = self._ordering.create_customer("Linus", "100.00")
        crowd = Crowd(self._company, linus, "4.00", buyers=4, each=10)
        crowd.wait_for(12)
        server = self._company.server
        answered, pid = len(crowd.answered), server.pid
        server.kill()
        self._stage.say(f"[green]$ kill -9 {pid}[/]  [red]with {answered} of 40 answered[/]")
        seconds = server.start()
        self._stage.say(f"The server is back after {seconds:.1f} s.")
        crowd.join()
        self._stage.check(
            len(crowd.answered) == 40 and not crowd.refusals,
            "all 40 were answered: the services had tried until it was back",
        )
        self._ordering.wait_for_decisions(crowd.answered)
        stored = self._chronicle.orders_of(linus)
        self._stage.check(stored == sorted(crowd.answered), "each is stored, and none twice")
        approved = sum(self._chronicle.count(order, "OrderApproved") for order in stored)
        rejected = sum(self._chronicle.count(order, "OrderRejected") for order in stored)
        credit = self._ordering.credit(linus)
        self._stage.check(
            (approved, rejected, credit) == (25, 15, "0.00"),
            f"{approved} are approved, {rejected} rejected, each of them once; {credit} is left",
        )

    def _history(self) -> None:
        self._stage.act("What Ada sees: one document, put together from events of two services")
        path = f"/customers/{self._ada}"
        states = {
            order: self._ordering.state(order) for order in self._chronicle.orders_of(self._ada)
        }

        def up_to_date() -> bool:
            document = self._company.get("order_history", path)
            shown = {each["orderId"]: each["state"] for each in document["orders"]}
            return shown == states and document["creditReserved"] == "55.00"

        self._chronicle.follow(up_to_date)
        began = time.perf_counter()
        document = self._company.get("order_history", path)
        self._stage.call(f"GET {path[:20]}…", "one read", time.perf_counter() - began)
        self._stage.say(
            f"[b]{document['name']}[/], credit limit {document['creditLimit']}, "
            f"reserved {document['creditReserved']}"
        )
        self._stage.table(
            ("order", "total", "state", ""),
            [
                (
                    self._ordering.names[each["orderId"]],
                    each["orderTotal"],
                    coloured(each["state"]),
                    f"[dim]{each.get('rejectionReason', '')}[/]",
                )
                for each in document["orders"]
            ],
        )
        self._stage.check(
            up_to_date(), "each order is in its final state, and what is held is what is approved"
        )

    def _emails(self) -> None:
        self._stage.act("And the e-mails: one for each order that was approved")
        approvals = sorted(
            event.id for event in self._chronicle.events if event.event_type == "OrderApproved"
        )
        self._chronicle.follow(lambda: len(self._chronicle.emails()) >= len(approvals))
        told = sorted(email.event_id for email in self._chronicle.emails())
        self._stage.check(
            told == approvals,
            f"{len(approvals)} approvals, {len(told)} e-mails, whoever was killed in between",
        )

    def keep(self) -> None:
        """Show where everything is, and let it run until Ctrl-C."""
        self._stage.act("It is all yours, until Ctrl-C")
        customers, orders, history = (
            self._company.services[each].url for each in ("customers", "orders", "order_history")
        )
        server, order = self._company.server.url, self._ordering.orders[-1]
        header = "-H 'content-type: application/json'"
        self._stage.lines(
            f"curl {customers}/customers {header} \\",
            '     -d \'{"name": "Alan", "creditLimit": 100}\'',
            f"curl {orders}/orders {header} \\",
            f'     -d \'{{"customerId": "{self._ada}", "orderTotal": 12.5}}\'',
            f"curl {orders}/orders/{order}",
            f"curl -X POST {orders}/orders/{order}/cancel",
            f"curl {history}/customers/{self._ada}",
            f"curl {server}/v1/spaces/default/log",
            f"ls {self._company.outbox}",
        )
        with contextlib.suppress(KeyboardInterrupt):
            self._stage.say(f"APIs to read and to try: [b]{server}/docs[/], [b]{orders}/docs[/], …")
            threading.Event().wait()

    def stop(self) -> None:
        """End all processes."""
        self._stage.act("Stop")
        codes = self._company.stop()
        self._stage.check(
            codes == [0] * 5, "all five finish what is under way, and end with exit code 0"
        )
