"""What the demonstration shows, act by act; each claim is checked as it is made."""

import json
import tempfile
import time
from pathlib import Path

from eventuary.demo.crowd import Crowd
from eventuary.demo.entities import Entities, Event, Refused
from eventuary.demo.server_process import ServerProcess
from eventuary.demo.stage import Stage
from eventuary.demo.subscription import Subscription

_TYPES = ["OrderPlaced", "OrderPriced", "OrderApproved", "OrderShipped"]


def tell() -> bool:
    """Tell the story; return whether every promise in it was kept."""
    stage = Stage()
    stage.open(
        "Eventuary",
        "An event store: what happened is kept as events, and whoever needs to know is told.\n"
        "This starts a server of its own, uses it as a client would, and then kills it.",
    )
    with tempfile.TemporaryDirectory(prefix="eventuary-demo-") as directory:
        server = ServerProcess(Path(directory))
        try:
            _Story(stage, server).tell()
        finally:
            server.kill()
    stage.close(
        "Start a server of your own   [bold]eventuary serve[/]\n"
        "Browse what it can do        [bold]http://127.0.0.1:8080/docs[/]"
    )
    return stage.failures == 0


class _Story:
    """The acts, and what goes from one to the next."""

    def __init__(self, stage: Stage, server: ServerProcess) -> None:
        self._stage = stage
        self._server = server
        self._order = ""
        self._order_events: list[str] = []
        #: What the subscriber was told, in the order in which it was.
        self._told: list[str] = []

    def tell(self) -> None:
        """Play all acts."""
        self._start()
        self._create_and_update()
        self._refuse_a_stale_writer()
        self._read()
        self._follow()
        crowd = self._kill()
        self._restart(crowd)
        self._resume(crowd)
        self._stop()

    def _start(self) -> None:
        self._stage.act("Start a server")
        self._stage.say(f"[green]$ {self._server.command}[/]")
        seconds = self._server.start()
        self._stage.say(
            f"Ready after {seconds:.1f} s: REST on port [b]{self._server.http_port}[/], STOMP on "
            f"port [b]{self._server.stomp_port}[/], one SQLite file."
        )

    def _create_and_update(self) -> None:
        self._stage.act("Create an order, and let something happen to it")
        entities = Entities(self._server.http_port)
        created = entities.create("Order", [Event("OrderPlaced", {"customer": "Ada", "total": 25})])
        self._stage.say("[green]POST /entity/default[/]  the order exists, as its first event")
        updated = entities.update(
            "Order",
            created.entity_id,
            created.version,
            [Event("OrderApproved", {"by": "credit check"}), Event("OrderShipped", {"parcels": 1})],
        )
        self._stage.say("[green]POST /entity/default/Order/…[/]  two more, written as one")
        entities.close()
        self._order = created.entity_id
        self._order_events = created.event_ids + updated.event_ids
        self._stale_version = created.version

    def _refuse_a_stale_writer(self) -> None:
        self._stage.act("Someone else decided on old news")
        entities = Entities(self._server.http_port)
        try:
            entities.update("Order", self._order, self._stale_version, [Event("OrderPriced", {})])
        except Refused as refused:
            self._stage.say(f"[yellow]{refused.status} {refused.code}[/]  {refused.explanation}")
            kept = refused.code == "optimistic_lock_error"
        else:
            kept = False
        entities.close()
        self._stage.check(kept, "an update of an old version is refused, and says why")

    def _read(self) -> None:
        self._stage.act("Read it back: its state is its events")
        entities = Entities(self._server.http_port)
        events = entities.find("Order", self._order)
        entities.close()
        self._stage.table(("event id", "what happened", "data"), events)
        self._stage.check(
            [event.event_id for event in events] == self._order_events,
            "all three, in order, with the ids that the appends answered",
        )

    def _follow(self) -> None:
        self._stage.act("Follow orders by a durable subscription")
        subscription = self._subscribe()
        self._told += [subscription.next().event_id for _ in self._order_events]
        self._stage.check(self._told == self._order_events, "what happened before is told first")
        entities = Entities(self._server.http_port)
        began = time.perf_counter()
        placed = entities.create("Order", [Event("OrderPlaced", {"customer": "Grace"})])
        delivery = subscription.next()
        milliseconds = (time.perf_counter() - began) * 1000
        entities.close()
        customer = json.loads(delivery.data)["customer"]
        self._stage.check(
            [delivery.event_id] == placed.event_ids,
            f"{customer}'s new order is on disk and told within {milliseconds:.1f} ms",
        )
        self._told.append(delivery.event_id)
        subscription.close()
        self._stage.say("The subscriber goes away. The server remembers how far it got.")

    def _kill(self) -> Crowd:
        self._stage.act("Meanwhile eight customers order as fast as they can … and: kill -9")
        crowd = Crowd(self._server.http_port, clients=8)
        rate = crowd.wait_for(orders=1500)
        pid = self._server.pid
        self._server.kill()
        crowd.join()
        self._stage.say(
            f"[b]{len(crowd.acknowledged):,}[/] orders were answered, {rate:,.0f} a second, each "
            "on disk before its answer."
        )
        self._stage.say(f"[green]$ kill -9 {pid}[/]  [red]in the middle of it[/]")
        return crowd

    def _restart(self, crowd: Crowd) -> None:
        self._stage.act("Start it again")
        seconds = self._server.start()
        self._stage.say(f"Ready after {seconds:.1f} s.")
        entities = Entities(self._server.http_port)
        lost = sum(
            [event.event_id for event in entities.find("Order", order)] != events
            for order, events in crowd.acknowledged.items()
        )
        entities.close()
        self._stage.check(
            not lost and bool(crowd.acknowledged),
            f"every one of the {len(crowd.acknowledged):,} answered orders is there, whole"
            + (f": {lost} are not" if lost else ""),
        )

    def _resume(self, crowd: Crowd) -> None:
        self._stage.act("The subscriber returns")
        entities = Entities(self._server.http_port)
        last = entities.create("Order", [Event("OrderPlaced", {"customer": "the last one"})])
        entities.close()
        wanted = {event for events in crowd.acknowledged.values() for event in events}
        wanted.update(last.event_ids)
        subscription = self._subscribe()
        began = time.perf_counter()
        returned: list[str] = []
        in_order = True
        newest: dict[str, str] = {}
        while wanted:
            delivery = subscription.next()
            in_order &= newest.get(delivery.entity_id, "") < delivery.event_id
            newest[delivery.entity_id] = delivery.event_id
            returned.append(delivery.event_id)
            wanted.discard(delivery.event_id)
        seconds = time.perf_counter() - began
        subscription.close()
        self._stage.say(
            f"It is told the [b]{len(returned):,}[/] events that it missed, in {seconds:.1f} s."
        )
        self._stage.check(
            not set(returned) & set(self._told), "it resumes where it stopped: nothing comes twice"
        )
        self._stage.check(in_order, "the events of each order come in their order")

    def _stop(self) -> None:
        self._stage.act("Stop it")
        code = self._server.stop()
        self._stage.check(code == 0, "it finishes what is under way, and ends with exit code 0")

    def _subscribe(self) -> Subscription:
        return Subscription(self._server.stomp_port, "shipping", "Order", _TYPES)
