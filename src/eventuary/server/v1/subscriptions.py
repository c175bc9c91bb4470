"""Subscriptions for operators: see where they stand, reset, pause, change their rules, delete."""

from typing import Annotated, Literal

import msgspec
from starlette.responses import Response

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.delivery.status import LAG_CAP, SubscriptionStatus
from eventuary.embedded import EmbeddedEventStore
from eventuary.errors import Conflict, NotFound
from eventuary.server.v1.answers import json_answer
from eventuary.server.v1.call import Call
from eventuary.server.v1.log_query import MOST_POSITION, whole
from eventuary.server.v1.operation import Access, Operation, Sample

#: The path of one subscription; subscriber ids may hold ``/``, as ``%2F``.
SUBSCRIPTION = "/v1/spaces/{space}/subscriptions/{subscriberId}"


class SubscriptionList(msgspec.Struct, frozen=True):
    """The subscriptions of a space."""

    subscriptions: list[SubscriptionStatus]


class ResetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to deliver from."""

    to: Annotated[
        Annotated[float, whole(0, MOST_POSITION)] | Literal["beginning", "end"],
        msgspec.Meta(
            description=(
                "`beginning`, `end`, or a position of the log up to its head: delivery goes on "
                "with the first event after it."
            )
        ),
    ]


class PolicyRequest(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The rules of delivery: what is left out takes the server's default, which is the value
    shown. Durations are in seconds.
    """

    window: (
        Annotated[
            float, whole(1, 10_000, "Most messages of a swimlane that wait to be acknowledged.")
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    ack_timeout: (
        Annotated[
            float,
            msgspec.Meta(
                ge=0.05,
                le=86_400,
                description=(
                    "Without an acknowledgement for so long, the oldest message comes again."
                ),
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    max_attempts: (
        Annotated[float, whole(1, 1_000_000, "Deliveries of an event before it is a dead letter.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    first_pause: (
        Annotated[
            float,
            msgspec.Meta(
                ge=0.001,
                le=86_400,
                description="Before the second delivery; doubled for each after.",
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    longest_pause: (
        Annotated[
            float,
            msgspec.Meta(ge=0.001, le=86_400, description="Between two deliveries, at most."),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    on_dead_letter: (
        Annotated[
            OnDeadLetter,
            msgspec.Meta(
                description=(
                    "`wait`: a swimlane with a dead letter waits for an operator, as order matters "
                    "more; `continue`: it goes on."
                )
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET

    def over(self, default: DeliveryPolicy) -> DeliveryPolicy:
        """Return the rules that result, with those of ``default`` where none is given."""
        given = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not msgspec.UNSET
        }
        for name in ("window", "max_attempts"):
            if name in given:
                given[name] = int(given[name])
        return msgspec.structs.replace(default, **given)


class CaughtUpQuery(msgspec.Struct, frozen=True):
    """How long to wait."""

    wait: Annotated[
        float, msgspec.Meta(ge=0, le=60, description="Seconds to wait for it at most.")
    ] = 0


class CaughtUp(msgspec.Struct, frozen=True, rename="camel"):
    """Whether all that was in the log when this was asked has been acknowledged."""

    caught_up: bool


class SubscriptionDeleted(msgspec.Struct, frozen=True):
    """The subscriber id of the subscription that is no more."""

    deleted: str


class SubscriptionRoutes:
    """What is under ``/v1/spaces/{space}/subscriptions``, dead letters apart."""

    def __init__(self, store: EmbeddedEventStore) -> None:
        self._store = store
        self._subscriptions = store.subscriptions
        self._reset = msgspec.json.Decoder(ResetRequest)
        self._policy = msgspec.json.Decoder(PolicyRequest)

    async def list_all(self, call: Call) -> Response:
        """Answer all of a space."""
        return json_answer(SubscriptionList(await self._subscriptions.list(call.space)))

    async def inspect(self, call: Call) -> Response:
        """Answer one."""
        return await self._status(call)

    async def caught_up(self, call: Call) -> Response:
        """Wait for it, and answer whether it is so."""
        query = call.query(CaughtUpQuery)
        return json_answer(
            CaughtUp(
                await self._subscriptions.caught_up(
                    call.space, call.segment("subscriberId"), query.wait
                )
            )
        )

    async def reset(self, call: Call) -> Response:
        """Deliver from elsewhere."""
        request = await call.body(self._reset)
        heads = await self._store.engine.newest_heads()
        if request.to == "beginning":
            to = dict.fromkeys(range(len(heads)), 0)
        elif request.to == "end":
            to = dict(enumerate(heads))
        else:
            position = int(request.to)
            partition = position % len(heads)
            if position > heads[partition]:
                raise Conflict(f"to: {position} is beyond the head of the log, {heads[partition]}")
            to = {partition: position}
        await self._subscriptions.reset(call.space, call.segment("subscriberId"), to)
        return await self._status(call)

    async def pause(self, call: Call) -> Response:
        """Deliver nothing."""
        await self._subscriptions.pause(call.space, call.segment("subscriberId"))
        return await self._status(call)

    async def resume(self, call: Call) -> Response:
        """Deliver again."""
        await self._subscriptions.resume(call.space, call.segment("subscriberId"))
        return await self._status(call)

    async def change_policy(self, call: Call) -> Response:
        """Deliver by other rules."""
        request = await call.body(self._policy)
        await self._subscriptions.change_policy(
            call.space, call.segment("subscriberId"), request.over(self._store.policy)
        )
        return await self._status(call)

    async def delete(self, call: Call) -> Response:
        """Forget it."""
        subscriber_id = call.segment("subscriberId")
        await self._subscriptions.delete(call.space, subscriber_id)
        return json_answer(SubscriptionDeleted(subscriber_id))

    async def _status(self, call: Call) -> Response:
        status = await self._subscriptions.inspect(call.space, call.segment("subscriberId"))
        return json_answer(status)

    def operations(self) -> list[Operation]:
        """Return what this file answers."""
        tag = "Subscriptions"
        one = Sample(answer=STATUS)
        return [
            Operation(
                method="GET",
                path="/v1/spaces/{space}/subscriptions",
                name="listSubscriptions",
                tag=tag,
                summary="List the subscriptions of a space",
                description=(
                    "Durable ones, whether or not anybody is connected, and transient ones. `lag` "
                    "counts the selected events that are not acknowledged, up to "
                    f"{LAG_CAP:,}: that number means at least so many."
                ),
                access=Access.READ,
                handle=self.list_all,
                answer=SubscriptionList,
                sample=Sample(answer={"subscriptions": [STATUS]}),
            ),
            Operation(
                method="GET",
                path=SUBSCRIPTION,
                name="inspectSubscription",
                tag=tag,
                summary="See where a subscription stands",
                description=(
                    "Percent-encode the subscriber id, `/` as `%2F`. A swimlane is `idle` (nobody "
                    "is connected), `behind`, `live`, `moving` to another consumer, `retrying` a "
                    "delivery that failed, `halted` at a dead letter, or `paused`."
                ),
                access=Access.READ,
                handle=self.inspect,
                answer=SubscriptionStatus,
                errors=(NotFound,),
                sample=one,
            ),
            Operation(
                method="GET",
                path=SUBSCRIPTION + "/caught-up",
                name="awaitCaughtUp",
                tag=tag,
                summary="Wait until a subscription has caught up",
                description=(
                    "True once all selected events that were in the log when this was asked are "
                    "acknowledged; false after `wait` seconds without that, and when nobody "
                    "consumes the subscription."
                ),
                access=Access.READ,
                handle=self.caught_up,
                query=CaughtUpQuery,
                answer=CaughtUp,
                errors=(NotFound,),
                sample=Sample(answer={"caughtUp": True}),
            ),
            Operation(
                method="DELETE",
                path=SUBSCRIPTION,
                name="deleteSubscription",
                tag=tag,
                summary="Delete a subscription",
                description=(
                    "Its positions and dead letters are forgotten, and its consumers are told. "
                    "If it subscribes again, it begins anew."
                ),
                access=Access.WRITE,
                handle=self.delete,
                answer=SubscriptionDeleted,
                errors=(NotFound,),
                sample=Sample(answer={"deleted": "order-history"}),
            ),
            Operation(
                method="POST",
                path=SUBSCRIPTION + "/reset",
                name="resetSubscription",
                tag=tag,
                summary="Deliver from another position",
                description=(
                    "What is under way is forgotten, and delivery begins after the position, to "
                    "consumers that are connected too. Dead letters beyond it are forgotten: "
                    "their events are delivered again. 409 if the position is beyond the head. "
                    "Where the log has several partitions, a position moves what is in its own; "
                    "`beginning` and `end` move all."
                ),
                access=Access.WRITE,
                handle=self.reset,
                body=ResetRequest,
                answer=SubscriptionStatus,
                errors=(NotFound, Conflict),
                sample=Sample(body={"to": "beginning"}, answer=STATUS),
            ),
            Operation(
                method="POST",
                path=SUBSCRIPTION + "/pause",
                name="pauseSubscription",
                tag=tag,
                summary="Pause delivery",
                description=(
                    "Nothing more is delivered until it is resumed, after a restart either; what "
                    "consumers have in hand they may still acknowledge."
                ),
                access=Access.WRITE,
                handle=self.pause,
                answer=SubscriptionStatus,
                errors=(NotFound,),
                sample=one,
            ),
            Operation(
                method="POST",
                path=SUBSCRIPTION + "/resume",
                name="resumeSubscription",
                tag=tag,
                summary="Resume delivery",
                access=Access.WRITE,
                handle=self.resume,
                answer=SubscriptionStatus,
                errors=(NotFound,),
                sample=one,
            ),
            Operation(
                method="PUT",
                path=SUBSCRIPTION + "/policy",
                name="changePolicy",
                tag=tag,
                summary="Change the rules of delivery",
                description=(
                    "From the next delivery on. What is left out takes the server's default."
                ),
                access=Access.WRITE,
                handle=self.change_policy,
                body=PolicyRequest,
                answer=SubscriptionStatus,
                errors=(NotFound,),
                sample=Sample(
                    body={"maxAttempts": 5, "firstPause": 1.0, "onDeadLetter": "continue"},
                    answer=STATUS,
                ),
            ),
        ]


#: A subscription as the document shows it.
STATUS = {
    "space": "default",
    "subscriberId": "order-history",
    "durability": "DURABLE",
    "selection": {"orders.Order": ["OrderApproved", "OrderCreated"]},
    "paused": False,
    "policy": {
        "window": 128,
        "ackTimeout": 300.0,
        "maxAttempts": 10,
        "firstPause": 0.5,
        "longestPause": 60.0,
        "onDeadLetter": "wait",
    },
    "consumers": 1,
    "lag": 3,
    "deadLetters": 0,
    "createdAt": 1731000000000,
    "swimlanes": [{"swimlane": 0, "state": "live", "position": 1240, "unacknowledged": 3}],
}
