"""Pydantic models as events.

    class OrderEvent(PydanticEvent, entity="orders.Order"): ...

    class OrderCreated(OrderEvent):
        customer_id: UUID
        total: Decimal = Field(gt=0)

They are used like ``Event``: applied, handled, upcast. A model's JSON is what is stored, by its
aliases, and validated when it is read. Pydantic's settings may follow as class keywords. Validation
has its price: an ``Event`` is read several times as fast.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, Unpack

from pydantic import AliasChoices, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from eventuary.framework.event import EventDescription, describe


class PydanticEvent(BaseModel):
    """The root of events that are Pydantic models. Fields of a newer writer are ignored.

    ``entity``, ``name``, ``version`` and ``formerly`` are those of ``Event``. Raises TypeError for
    a model that could not read back what it writes.
    """

    # As a class keyword, mypy would want it said again by every subclass.
    model_config = ConfigDict(frozen=True)

    __event__: ClassVar[EventDescription]

    def __init_subclass__(
        cls,
        *,
        entity: str | None = None,
        name: str | None = None,
        version: int = 1,
        formerly: Sequence[str] = (),
        **settings: Unpack[ConfigDict],
    ) -> None:
        """Describe the class."""
        super().__init_subclass__(**settings)
        inherited = getattr(cls, "__event__", None)
        cls.__event__ = describe(cls.__name__, inherited, entity, name, version, formerly)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Check the class, now that its fields are known."""
        for name, field in cls.model_fields.items():
            if field.exclude:
                if field.is_required():
                    raise TypeError(
                        f"{cls.__name__}.{name} is excluded from what is stored, and has no default"
                    )
                continue
            written = field.serialization_alias or name
            if written not in _names_read(name, field, cls.model_config):
                raise TypeError(
                    f"{cls.__name__}.{name} is written as {written!r}, and not read under that "
                    "name: give it an alias instead of a serialization or a validation alias"
                )

    def __encode__(self) -> str:
        """Return the JSON to be stored."""
        return self.model_dump_json(by_alias=True, round_trip=True)

    @classmethod
    def __decode__(cls, data: str) -> Self:
        """Return the event of stored JSON. Raises ValueError."""
        return cls.model_validate_json(data)


def _names_read(name: str, field: FieldInfo, settings: ConfigDict) -> set[str]:
    """Return the names under which a field is found in JSON."""
    by_name = settings.get("validate_by_name") or settings.get("populate_by_name")
    names = {name} if by_name or field.validation_alias is None else set()
    match field.validation_alias:
        case str() as alias:
            names.add(alias)
        case AliasChoices(choices=choices):
            names.update(choice for choice in choices if isinstance(choice, str))
    return names
