"""The rules of delivery that a SUBSCRIBE may bring, in a header of ours."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventuary.delivery.policy import BOUNDS, DeliveryPolicy, OnDeadLetter
from eventuary.errors import BadRequest
from eventuary.server.stomp.delivery_policy import parse_delivery_policy
from tests.server.stomp.conftest import Opening, StompSide
from tests.server.stomp.wire import VERSIONS, destination_of, escaped, frame

TYPES = {"Order": ["Ordered"]}

#: As a server may be configured: nothing is as it is without a setting.
DEFAULT = DeliveryPolicy(
    window=7,
    ack_timeout=8.5,
    max_attempts=3,
    first_pause=0.25,
    longest_pause=2.0,
    on_dead_letter=OnDeadLetter.CONTINUE,
)


def subscribe(version: str, policy: str) -> bytes:
    return frame(
        "SUBSCRIBE",
        {
            "id": "1",
            "destination": destination_of(version, "s", TYPES),
            "delivery-policy": escaped(policy, version),
            "receipt": "r",
        },
    )


async def stored_policy(stomp: StompSide) -> DeliveryPolicy:
    [status] = await stomp.store.subscriptions.list("default")
    return status.policy


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_it_leaves_out_is_as_the_server_was_told(
    open_stomp: Opening, version: str
) -> None:
    async with open_stomp(policy=DEFAULT) as stomp:
        for given_policy, expected in (
            ('{"maxAttempts": 5, "firstPause": 1}', {"max_attempts": 5, "first_pause": 1.0}),
            ('{"onDeadLetter": "wait"}', {"on_dead_letter": OnDeadLetter.WAIT}),
            ("{}", {}),
        ):
            wire = await stomp.connect()
            await wire.log_in(version)
            await wire.send(subscribe(version, given_policy))
            assert (await wire.frame()).command == "RECEIPT"
            assert await stored_policy(stomp) == msgspec.structs.replace(DEFAULT, **expected)
            wire.abort()
            await stomp.until_alone()


async def test_without_the_header_the_rules_stay_as_they_are(open_stomp: Opening) -> None:
    async with open_stomp(policy=DEFAULT) as stomp:
        wire = await stomp.connect()
        await wire.log_in()
        await wire.send(subscribe("1.2", '{"window": 1}'))
        assert (await wire.frame()).command == "RECEIPT"
        again = await stomp.connect()
        await again.log_in()
        await again.subscribe("s", TYPES)
        assert await stored_policy(stomp) == msgspec.structs.replace(DEFAULT, window=1)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "window": st.integers(1, 10_000),
            "ackTimeout": st.floats(0.05, 86_400),
            "maxAttempts": st.integers(1, 1_000_000),
            "firstPause": st.floats(0.001, 86_400),
            "longestPause": st.floats(0.001, 86_400),
            "onDeadLetter": st.sampled_from(["wait", "continue"]),
        },
    )
)
def test_any_rules_are_laid_over_the_default(rules: dict[str, object]) -> None:
    found = msgspec.to_builtins(parse_delivery_policy(json.dumps(rules), DEFAULT))
    assert found == {**msgspec.to_builtins(DEFAULT), **rules}


def test_whole_numbers_may_be_written_with_a_point() -> None:
    text = '{"window": 5.0, "maxAttempts": 1e3, "ackTimeout": 2}'
    found = parse_delivery_policy(text, DEFAULT)
    assert (found.window, found.max_attempts, found.ack_timeout) == (5, 1000, 2)
    assert isinstance(found.window, int)


REFUSED = [
    ('{"windows": 1}', "delivery-policy: 'windows' is not known; known are window, ackTimeout,"),
    ('{"ack_timeout": 1}', "'ack_timeout' is not known"),
    ('{"ackTimeout": 0.01}', "delivery-policy: ackTimeout: 0.01 is outside 0.05..86400"),
    ('{"window": 0}', "delivery-policy: window: 0 is outside 1..10000"),
    ('{"maxAttempts": 1000001}', "maxAttempts: 1000001 is outside 1..1000000"),
    ('{"maxAttempts": 1.5}', "maxAttempts: 1.5: expected `int`, got `float`"),
    ('{"firstPause": "soon"}', "firstPause: 'soon': expected `float`, got `str`"),
    ('{"firstPause": true}', "firstPause: True: expected `float`, got `bool`"),
    ('{"onDeadLetter": "panic"}', "onDeadLetter: 'panic': invalid enum value 'panic'"),
    ('{"window": %s}' % ("9" * 4000), "window: " + "9" * 80 + " is outside 1..10000"),
    ('{"window": %s}' % ("9" * 9000), "delivery-policy: "),
    ('{"window": %s}' % ("[" * 9000), "delivery-policy: "),
    ("[]", "delivery-policy: Expected `object`, got `array`"),
    ("", "delivery-policy: "),
]


@pytest.mark.parametrize(("policy", "mention"), REFUSED, ids=lambda each: each[:30])
async def test_refusals_name_the_rule_its_value_and_its_limits(
    stomp: StompSide, policy: str, mention: str
) -> None:
    for version in VERSIONS:
        wire = await stomp.connect()
        await wire.log_in(version)
        await wire.send(subscribe(version, policy))
        await wire.refused(mention, receipt="r")
    assert await stomp.store.subscriptions.list("default") == []


@pytest.mark.parametrize("name", BOUNDS)
def test_its_limits_are_those_of_delivery(name: str) -> None:
    [rule] = [each for each in msgspec.structs.fields(DeliveryPolicy) if each.name == name]
    low, high = BOUNDS[name]
    for good in (low, high):
        found = parse_delivery_policy(json.dumps({rule.encode_name: good}), DEFAULT)
        assert getattr(found, name) == good
        found.check()
    for bad in (0, high + 1):
        with pytest.raises(BadRequest, match=f"^delivery-policy: {rule.encode_name}: {bad} is "):
            parse_delivery_policy(json.dumps({rule.encode_name: bad}), DEFAULT)
