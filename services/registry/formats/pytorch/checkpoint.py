"""Tells in a training checkpoint the model's own state from the optimizer's and from what else is noted in it."""

from collections.abc import Mapping

from services.registry.formats.pickles.findings import printable
from services.registry.formats.pickles.values import Call, Table, Value, members

_STATES = ("state_dict", "model_state_dict", "model_state", "model", "module", "net")
_MAX_PROPERTIES = 100


def model_of(value: Value) -> tuple[Value, Mapping[str, str], str]:
    """The model or its state, what else the checkpoint says in single texts and numbers, and the architecture it names.

    What is no checkpoint is taken to be the model itself.
    """
    entries = members(value)
    key = next((key for key in _STATES if isinstance(entries.get(key), Table | Call)), None)
    if key is None:
        return value, {}, ""
    properties = {"checkpoint": printable(", ".join(entries))}
    for name, each in list(entries.items())[:_MAX_PROPERTIES]:
        if isinstance(each, str | int | float):
            properties[printable(name)] = printable(str(each))
    architecture = entries.get("arch")
    return entries[key], properties, printable(architecture) if isinstance(architecture, str) else ""
