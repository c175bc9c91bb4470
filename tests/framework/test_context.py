"""The context: what handlers store because of an event is stored once, however often it comes."""

import pytest

from eventuary import (
    Aggregate,
    AggregateNotFound,
    Context,
    DeliveryPolicy,
    Event,
    EventStore,
    Repository,
    Subscriber,
    Trigger,
    apply,
    connect,
    running,
)

AGAIN_SOON = DeliveryPolicy(first_pause=0.005, longest_pause=0.01)


class TaskEvent(Event, entity="Task"): ...


class TaskAdded(TaskEvent):
    title: str


class TaskDone(TaskEvent): ...


class NoteEvent(Event, entity="Note"): ...


class NoteBegun(NoteEvent): ...


class NoteExtended(NoteEvent):
    text: str


class Task(Aggregate):
    done: bool = False

    @classmethod
    def add(cls, title: str) -> TaskAdded:
        return TaskAdded(title)

    def finish(self) -> TaskDone:
        return TaskDone()

    @apply
    def _added(self, _: TaskAdded) -> None: ...

    @apply
    def _done(self, _: TaskDone) -> None:
        self.done = True


class Note(Aggregate):
    text: str = ""

    @classmethod
    def begin(cls) -> NoteBegun:
        return NoteBegun()

    def extend(self, text: str) -> NoteExtended:
        return NoteExtended(text)

    @apply
    def _begun(self, _: NoteBegun) -> None: ...

    @apply
    def _extended(self, event: NoteExtended) -> None:
        self.text += event.text


async def handled(store: EventStore, subscriber: Subscriber) -> str:
    """Add a task, let it be handled, and return its id."""
    async with running(store, subscriber) as run:
        task = await Repository(store, Task).save(Task.add("write"))
        await run.caught_up()
    return task.id


async def test_the_context_says_what_is_known_of_the_event() -> None:
    subscriber = Subscriber("s")
    seen: list[Context] = []

    @subscriber.on(TaskAdded)
    async def on_added(_: TaskAdded, context: Context) -> None:
        seen.append(context)

    async with connect("memory:") as store:
        tasks = Repository(store, Task)
        task_id = await handled(store, subscriber)
        [context] = seen
        [event] = await tasks.history(task_id)
    assert (context.entity_type, context.entity_id) == ("Task", task_id)
    assert (context.event_id, context.time) == (event.event_id, event.time)
    assert context.event_token == f"{event.event_id}.cw"
    assert (context.position, context.attempt) == (1, 1)
    assert 0 <= context.swimlane < 8
    assert context.trigger == Trigger(event.event_id, context.event_token, event.metadata)


async def test_a_handler_that_fails_half_way_finds_done_what_it_did() -> None:
    subscriber = Subscriber("s", policy=AGAIN_SOON)
    created: list[str] = []

    @subscriber.on(TaskAdded)
    async def on_added(_: TaskAdded, context: Context) -> None:
        note = await context.save(Note, Note.begin())
        created.append(note.id)
        await context.update(Note, "diary", Note.extend, "task added. ")
        await context.update(Task, context.entity_id, Task.finish)
        if context.attempt < 3:
            raise RuntimeError("the lights went out")

    async with connect("memory:") as store:
        notes, tasks = Repository(store, Note), Repository(store, Task)
        await notes.save(Note.begin(), entity_id="diary")
        task_id = await handled(store, subscriber)
        assert len(created) == 3
        assert len(set(created)) == 1, "what is created has the same id each time"
        assert len(await notes.history(created[0])) == 1
        assert (await notes.load("diary")).text == "task added. "
        assert len(await tasks.history(task_id)) == 2


async def test_two_subscribers_each_have_their_own_once() -> None:
    first, second = Subscriber("first"), Subscriber("second")
    created: list[str] = []

    @first.on(TaskAdded)
    @second.on(TaskAdded)
    async def on_added(_: TaskAdded, context: Context) -> None:
        created.append((await context.save(Note, Note.begin())).id)
        await context.update(Note, "diary", Note.extend, "x")

    async with connect("memory:") as store:
        notes = Repository(store, Note)
        await notes.save(Note.begin(), entity_id="diary")
        async with running(store, first, second) as run:
            await Repository(store, Task).save(Task.add("write"))
            await run.caught_up()
        assert len(set(created)) == 2
        assert (await notes.load("diary")).text == "xx"


async def refusal_of(handler_body: object) -> str:
    """Return what the second change of an entity in one handling raises."""
    subscriber = Subscriber("s")
    refusals: list[str] = []

    @subscriber.on(TaskAdded)
    async def on_added(_: TaskAdded, context: Context) -> None:
        with pytest.raises(RuntimeError) as caught:
            await handler_body(context)  # type: ignore[operator]  # an async function
        refusals.append(str(caught.value))

    async with connect("memory:") as store:
        await Repository(store, Note).save(Note.begin(), entity_id="diary")
        await handled(store, subscriber)
    [refusal] = refusals
    return refusal


async def test_a_second_update_of_an_entity_is_refused() -> None:
    async def twice(context: Context) -> None:
        await context.update(Note, "diary", Note.extend, "a")
        await context.update(Note, "diary", Note.extend, "b")

    assert await refusal_of(twice) == (
        "Note 'diary' is changed twice while one event is handled: the second would count as done "
        "already; make it one command"
    )


async def test_a_second_creation_without_an_id_is_refused() -> None:
    async def twice(context: Context) -> None:
        await context.save(Note, Note.begin())
        await context.save(Note, Note.begin())

    assert "give each an entity_id of its own" in await refusal_of(twice)


@pytest.mark.parametrize("entity_id", [None, "mine"])
async def test_an_update_of_what_was_just_created_is_refused(entity_id: str | None) -> None:
    async def both(context: Context) -> None:
        note = await context.save(Note, Note.begin(), entity_id=entity_id)
        await context.update(Note, note.id, Note.extend, "lost otherwise")

    assert "make it one command" in await refusal_of(both)


async def test_several_creations_with_ids_of_their_own() -> None:
    subscriber = Subscriber("s", policy=AGAIN_SOON)

    @subscriber.on(TaskAdded)
    async def on_added(_: TaskAdded, context: Context) -> None:
        for number in range(3):
            await context.save(Note, Note.begin(), entity_id=f"{context.entity_id}-{number}")
        if context.attempt == 1:
            raise RuntimeError("again")

    async with connect("memory:") as store:
        task_id = await handled(store, subscriber)
        notes = Repository(store, Note)
        assert [len(await notes.history(f"{task_id}-{number}")) for number in range(3)] == [1] * 3


async def test_what_failed_may_be_tried_otherwise() -> None:
    """An update of what does not exist, then its creation: neither counts as a second change."""
    subscriber = Subscriber("s")

    @subscriber.on(TaskAdded)
    async def on_added(event: TaskAdded, context: Context) -> None:
        try:
            await context.update(Note, "diary", Note.extend, event.title)
        except AggregateNotFound:
            await context.save(Note, [Note.begin(), NoteExtended(event.title)], entity_id="diary")

    async with connect("memory:") as store:
        await handled(store, subscriber)
        await handled(store, subscriber)
        assert (await Repository(store, Note).load("diary")).text == "writewrite"


async def test_a_repository_of_one_s_own_is_used_as_it_is() -> None:
    subscriber = Subscriber("s")

    async with connect("memory:") as store:
        elsewhere = Repository(store, Note, space="elsewhere", cache=0)

        @subscriber.on(TaskAdded)
        async def on_added(_: TaskAdded, context: Context) -> None:
            await context.save(elsewhere, Note.begin(), entity_id="diary")
            await context.save(Note, Note.begin(), entity_id="diary")  # another space: another note
            assert (await context.load(elsewhere, "diary")).text == ""

        await handled(store, subscriber)
        assert await elsewhere.exists("diary")
        assert await Repository(store, Note).exists("diary")
