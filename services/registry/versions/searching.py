"""What versions can be searched by (docs/reference/search.md), and a search as a value."""

import dataclasses

from services.registry.formats import Format
from services.registry.models.model import Stage
from services.registry.search.fields import NUMBER, TEXT, TIME, UID, Field, Fields, Kind, word_type
from services.registry.search.orders import NEWEST_FIRST, Order
from services.registry.search.pages import Position
from services.registry.search.tree import EVERYTHING, Condition, Value
from services.registry.states import State
from services.registry.versions.model import ModelVersion

FIELDS = Fields(
    plain={
        "name": TEXT,
        "version": NUMBER,
        "semantic_version": TEXT,
        "description": TEXT,
        "architecture": TEXT,
        "framework": TEXT,
        "task": TEXT,
        "source": TEXT,
        "digest": TEXT,
        "run": TEXT,
        "run_id": UID,
        "created_by": TEXT,
        "parameter_count": NUMBER,
        "create_time": TIME,
        "update_time": TIME,
        "stage": word_type(Stage),
        "state": word_type(State),
        "format": word_type(Format),
    },
    maps={"metrics": NUMBER, "annotations": TEXT},
    aliases={
        "tags": "annotations",
        "tag": "annotations",
        "metric": "metrics",
        "version_number": "version",
        "source_path": "source",
        "creation_timestamp": "create_time",
        "last_updated_timestamp": "update_time",
    },
)
"""``name`` is that of the model. Pairs are what MLflow calls tags."""


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """Versions that meet a condition, in an order, after a position; only those in use unless ``show_inactive``."""

    limit: int
    condition: Condition = EVERYTHING
    order: Order = NEWEST_FIRST
    after: Position | None = None
    show_inactive: bool = False


def lookup(version: ModelVersion, field: Field) -> Value | None:
    """The value of a field, as its kind has it; None where there is none."""
    match field.name:
        case "metrics":
            return version.metrics.get(field.key)
        case "annotations":
            return version.annotations.get(field.key)
        case "name":
            return version.model
        case "semantic_version":
            return str(version.semantic_version or "")
        case "framework":
            return version.framework_name
        case "run_id":
            return version.run_id or None
    value: Value = getattr(version, field.name)
    return float(value) if field.kind is Kind.NUMBER and isinstance(value, int) else value
