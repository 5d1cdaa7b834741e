"""What logged models can be searched by (docs/reference/search.md), and a search as a value."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

from services.registry.logged_models.model import DataMetric, LoggedModel, LoggedModelState
from services.registry.search.fields import NUMBER, TEXT, TIME, UID, Field, Fields, word_type
from services.registry.search.orders import NEWEST_FIRST, Order
from services.registry.search.pages import Position
from services.registry.search.tree import EVERYTHING, Condition, Value

FIELDS = Fields(
    plain={
        "uid": UID,
        "display_name": TEXT,
        "run": TEXT,
        "run_id": UID,
        "model_type": TEXT,
        "state": word_type(LoggedModelState),
        "create_time": TIME,
        "update_time": TIME,
        "created_by": TEXT,
    },
    maps={"metrics": NUMBER, "params": TEXT, "tags": TEXT},
    aliases={
        "model_id": "uid",
        "model_name": "display_name",
        "name": "display_name",
        "status": "state",
        "source_run": "run",
        "source_run_id": "run_id",
        "creation_timestamp": "create_time",
        "creation_time": "create_time",
        "last_updated_timestamp": "update_time",
        "last_updated_time": "update_time",
        "metric": "metrics",
        "parameters": "params",
        "param": "params",
        "parameter": "params",
        "tag": "tags",
    },
)
"""The names are ours, then MLflow's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """Data that metrics were measured on, by its name and, where it is said, by its digest."""

    name: str
    digest: str = ""

    def covers(self, metric: DataMetric) -> bool:
        """Whether the metric was measured on it."""
        return metric.data_name == self.name and self.digest in ("", metric.data_digest)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller looks for, as written; ``experiments`` are resource names."""

    filter: str = ""
    order_by: str = ""
    experiments: Sequence[str] = ()
    data: Sequence[Data] = ()
    show_archived: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """Logged models that meet a condition, in an order, after a position.

    Attributes:
        experiments: only those of these experiments, by id; of all where empty.
        data: metrics that the condition and the order mean are those on one of these; on any where empty.
    """

    limit: int
    condition: Condition = EVERYTHING
    order: Order = NEWEST_FIRST
    after: Position | None = None
    experiments: Collection[str] = ()
    data: Sequence[Data] = ()
    show_archived: bool = False


def lookup_in(data: Sequence[Data]) -> Callable[[LoggedModel, Field], Value | None]:
    """A function that gives the value of a field, as its kind has it; None where there is none."""

    def lookup(logged: LoggedModel, field: Field) -> Value | None:
        match field.name:
            case "metrics":
                measured = [
                    metric
                    for metric in logged.metrics
                    if metric.key == field.key and (not data or any(each.covers(metric) for each in data))
                ]
                last = max(measured, key=lambda each: (each.step, each.time_us, *each.identity[3:]), default=None)
                return last.value if last else None
            case "params":
                return logged.parameters.get(field.key)
            case "tags":
                return logged.tags.get(field.key)
            case "uid":
                return logged.id
            case "run_id":
                return logged.run.rpartition("/")[2] or None
        value: Value = getattr(logged, field.name)
        return value

    return lookup
