"""What models can be searched by (docs/reference/search.md), and a search as a value."""

import dataclasses

from services.registry.models.model import Model
from services.registry.search.fields import NUMBER, TEXT, TIME, Field, Fields, Kind, word_type
from services.registry.search.orders import Order, OrderKey, parse_order
from services.registry.search.pages import Position
from services.registry.search.tree import Condition, Value
from services.registry.states import State

FIELDS = Fields(
    plain={
        "name": TEXT,
        "display_name": TEXT,
        "description": TEXT,
        "created_by": TEXT,
        "create_time": TIME,
        "update_time": TIME,
        "state": word_type(State),
        "latest_version": NUMBER,
    },
    maps={"tags": TEXT, "aliases": NUMBER},
    aliases={
        "tag": "tags",
        "creation_timestamp": "create_time",
        "last_updated_timestamp": "update_time",
    },
)
"""``name`` is the last segment of the resource name; an alias has the number of the version that it points to."""

_BY_NAME = Order((OrderKey(Field("name_key", "", Kind.TEXT), descending=False),), descending=False)
"""By the name in lower case, which is nobody's field to ask for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """Models that meet a condition, in an order, after a position; only those in use unless ``show_inactive``."""

    limit: int
    condition: Condition
    order: Order
    after: Position | None
    show_inactive: bool


def order_of(text: str) -> Order:
    """The order that ``text`` asks for: by name where it is blank, or raise InvalidOrder."""
    return parse_order(text, FIELDS) if text.strip() else _BY_NAME


def lookup(model: Model, field: Field) -> Value | None:
    """The value of a field, as its kind has it; None where there is none."""
    match field.name:
        case "tags":
            return model.tags.get(field.key)
        case "aliases":
            return _number(model.aliases.get(field.key))
        case "name":
            return model.model
        case "name_key":
            return model.model.lower()
        case "latest_version":
            return _number(model.latest_version)
    value: Value = getattr(model, field.name)
    return value


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)
