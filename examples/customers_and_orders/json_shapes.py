"""What the JSON of requests and answers has in common: names in camel case, amounts to the cent."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_CENT = Decimal("0.01")


class JsonShape(BaseModel):
    """``order_total`` here is ``orderTotal`` there."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


#: An amount of money, as a JSON string or number with at most two decimal places.
Amount = Annotated[
    Decimal,
    Field(ge=0, lt=10**10, decimal_places=2),
    AfterValidator(lambda amount: amount.quantize(_CENT)),
]
