"""Log lines say which event they are about, however deep down they are written."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from eventuary import (
    Aggregate,
    Context,
    DeliveryPolicy,
    Event,
    EventStore,
    Repository,
    Subscriber,
    apply,
    connect,
    running,
)
from eventuary.integrations.logging import EventIds, add_event_ids

FORMAT = "%(message)s|%(subscriber_id)s|%(event_id)s|%(event_type)s|%(entity_type)s|%(entity_id)s"


class LampEvent(Event, entity="Lamp"): ...


class LampLit(LampEvent): ...


class Lamp(Aggregate):
    @classmethod
    def light(cls) -> LampLit:
        return LampLit()

    @apply
    def _lit(self, _: LampLit) -> None: ...


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the program writes to its log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(EventIds())
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


async def _light(store: EventStore, subscriber: Subscriber, lamp_ids: list[str]) -> list[str]:
    """Light lamps, let the subscriber handle it, and return the events' ids."""
    lamps = Repository(store, Lamp)
    async with running(store, subscriber) as runs:
        made = await asyncio.gather(
            *(lamps.save(Lamp.light(), entity_id=lamp_id) for lamp_id in lamp_ids)
        )
        await runs.caught_up()
    return [lamp.version for lamp in made]


async def test_every_line_within_a_handler_has_the_ids(lines: io.StringIO) -> None:
    watch = Subscriber("watch")

    def deep_down(lamp_id: str) -> None:
        logging.getLogger("somewhere.else").warning("in a thread of %s", lamp_id)

    async def beside(lamp_id: str) -> None:
        logging.getLogger("beside").warning("in a task of %s", lamp_id)

    @watch.on(LampLit)
    async def see(event: LampLit, context: Context) -> None:
        await asyncio.gather(
            asyncio.to_thread(deep_down, context.entity_id),
            asyncio.create_task(beside(context.entity_id)),
        )

    lamp_ids = [f"lamp-{number}" for number in range(20)]  # in several swimlanes, at once
    async with connect("memory:") as store:
        event_ids = await _light(store, watch, lamp_ids)
    assert sorted(lines.getvalue().splitlines()) == sorted(
        f"in a {place} of {lamp_id}|watch|{event_id}|LampLit|Lamp|{lamp_id}"
        for place in ("thread", "task")
        for lamp_id, event_id in zip(lamp_ids, event_ids, strict=True)
    )


async def test_outside_of_handlers_formats_still_work(lines: io.StringIO) -> None:
    logging.getLogger("app").warning("hello")
    logging.getLogger("app").warning("mine", extra={"event_id": "my own"})
    assert lines.getvalue().splitlines() == ["hello|-|-|-|-|-", "mine|-|my own|-|-|-"]


async def test_what_the_framework_says_of_a_failure_has_them_too(lines: io.StringIO) -> None:
    watch = Subscriber("watch", policy=DeliveryPolicy(first_pause=0.001))

    @watch.on(LampLit)
    async def stumble(event: LampLit, context: Context) -> None:
        if context.attempt == 1:
            raise RuntimeError("dark")

    async with connect("memory:") as store:
        [event_id] = await _light(store, watch, ["lamp"])
    first = lines.getvalue().splitlines()[0]
    assert first == (
        f"subscriber 'watch' could not handle LampLit {event_id} of Lamp 'lamp', it comes again: "
        f"RuntimeError: dark|watch|{event_id}|LampLit|Lamp|lamp"
    )


async def test_structlog_lines_have_them() -> None:
    stream = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[add_event_ids, structlog.processors.JSONRenderer()],
    )
    watch = Subscriber("watch")

    @watch.on(LampLit)
    async def see(event: LampLit, context: Context) -> None:
        log.info("seen", entity_type="as I say")

    log.info("before")
    async with connect("memory:") as store:
        [event_id] = await _light(store, watch, ["lamp"])
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "before"},
        {
            "event": "seen",
            "subscriber_id": "watch",
            "event_id": event_id,
            "event_type": "LampLit",
            "entity_type": "as I say",
            "entity_id": "lamp",
        },
    ]
