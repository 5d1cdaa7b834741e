"""What runs can be searched by."""

import json
import re
from decimal import Decimal

from services.registry.runs.model import RunState
from services.registry.search.fields import NUMBER, NUMBER_OR_TEXT, TEXT, TIME, UID, Fields, word_type
from services.registry.values import Json

FIELDS = Fields(
    plain={
        "uid": UID,
        "display_name": TEXT,
        "description": TEXT,
        "state": word_type(RunState, FINISHED=RunState.SUCCEEDED, KILLED=RunState.CANCELLED),
        "start_time": TIME,
        "end_time": TIME,
        "update_time": TIME,
        "created_by": TEXT,
        "failure": TEXT,
        "job": TEXT,
        "parent_run": TEXT,
        "datasets.name": TEXT,
        "datasets.digest": TEXT,
        "datasets.context": TEXT,
        "datasets.dataset_version": TEXT,
    },
    maps={"metrics": NUMBER, "params": NUMBER_OR_TEXT, "tags": TEXT},
    aliases={
        "metric": "metrics",
        "parameters": "params",
        "parameter": "params",
        "param": "params",
        "tag": "tags",
        "run_id": "uid",
        "run_name": "display_name",
        "name": "display_name",
        "status": "state",
        "user_id": "created_by",
        "created": "start_time",
        "Created": "start_time",
        "run name": "display_name",
        "Run name": "display_name",
        "Run Name": "display_name",
        "dataset": "datasets",
    },
    prefixes=("attributes", "attribute", "attr", "run"),
)
_NUMBER = re.compile(r"[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?", re.ASCII)
_MAX_NUMBER = 100


def searched(value: Json) -> tuple[str, float | None]:
    """The text that a parameter is searched by, and the number, where it is one or its text writes one.

    The database has the same rule (``parameters_of_run`` in the migrations): whoever writes a run, it is found.
    """
    match value:
        case bool() | None:
            return json.dumps(value), None
        case int() | float():
            return _decimal(value), float(value)
        case str():
            writes_number = len(value) <= _MAX_NUMBER and _NUMBER.fullmatch(value)
            return value, float(value) if writes_number else None
        case _:
            return _json(value), None


def _decimal(value: float) -> str:
    """A number without an exponent or needless zeros."""
    text = format(Decimal(repr(value)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _json(value: Json) -> str:
    """A value as PostgreSQL writes it: shorter keys before longer ones, numbers without an exponent."""
    match value:
        case dict():
            keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return "{" + ", ".join(f"{_json(key)}: {_json(value[key])}" for key in keys) + "}"
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
        case bool() | None | str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            text = format(Decimal(repr(value)), "f")
            return text.removeprefix("-") if float(value) == 0 else text
