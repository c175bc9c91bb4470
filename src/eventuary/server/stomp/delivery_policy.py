"""The rules of delivery that a SUBSCRIBE may bring in ``delivery-policy``, a header of ours."""

import msgspec

from eventuary.delivery.policy import BOUNDS, DeliveryPolicy
from eventuary.errors import BadRequest

_decode = msgspec.json.Decoder(dict[str, object]).decode

#: By the names that the rules have in JSON.
_RULES = {rule.encode_name: rule for rule in msgspec.structs.fields(DeliveryPolicy)}

#: Characters of a value that an error shows.
_SHOWN = 80


def parse_delivery_policy(text: str, default: DeliveryPolicy) -> DeliveryPolicy:
    """Return the rules that ``text``, JSON, asks for; what it leaves out is as in ``default``.

    Raises BadRequest, which names the rule, its value and its limits: a rule that is misspelt must
    not quietly be another.
    """
    try:
        given = _decode(text)
    except msgspec.DecodeError as error:
        raise BadRequest(f"delivery-policy: {error}") from None
    except RecursionError:
        raise BadRequest("delivery-policy: is nested too deeply") from None
    changes = {}
    for name, value in given.items():
        rule = _RULES.get(name)
        if rule is None:
            raise BadRequest(
                f"delivery-policy: {name[:_SHOWN]!r} is not known; known are {', '.join(_RULES)}"
            )
        changes[rule.name] = _checked(rule, value)
    return msgspec.structs.replace(default, **changes)


def _checked(rule: msgspec.structs.FieldInfo, value: object) -> object:
    shown = repr(value)[:_SHOWN]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some languages write 5 as 5.0
    try:
        checked = msgspec.convert(value, rule.type)
    except msgspec.ValidationError as error:
        reason = str(error)
        raise BadRequest(
            f"delivery-policy: {rule.encode_name}: {shown}: {reason[:1].lower()}{reason[1:]}"
        ) from None
    if rule.name in BOUNDS:
        low, high = BOUNDS[rule.name]
        if not low <= checked <= high:
            raise BadRequest(
                f"delivery-policy: {rule.encode_name}: {shown} is outside {low}..{high}"
            )
    return checked
