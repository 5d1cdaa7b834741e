"""JSON and YAML text → plain values, refusing what is ambiguous or dangerous.

Duplicate keys, NaN, YAML tags, anchors and aliases, and documents that are too deep or too large are faults, not
surprises (promise 12: uploaded text never executes and never grows).
"""

import json
from typing import Any, Final, NoReturn

from headwater import marked_yaml

MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000


class TextFault(ValueError):
    """The text is not a document we read; the message says why."""


def read(text: str) -> Any:
    """The value that ``text`` holds: JSON when it begins with ``{`` or ``[``, else YAML.

    Raises:
        TextFault: it is neither, or not one we read.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return _read_yaml(text)
    value = _read_json(text)
    _measure(value)
    return value


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise TextFault(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise TextFault(f"nested deeper than {MAX_DEPTH} levels") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise TextFault(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return values


def _refuse_constant(constant: str) -> NoReturn:
    raise TextFault(f"{constant} is not a number")


def _read_yaml(text: str) -> Any:
    limits = marked_yaml.Limits(max_characters=len(text), max_depth=MAX_DEPTH, max_values=MAX_NODES)
    try:
        return marked_yaml.compose(text, limits).value()
    except marked_yaml.YamlFault as fault:
        raise TextFault(str(fault)) from fault


def _measure(value: Any) -> None:
    left, nodes = [(value, 1)], 0
    while left:
        node, depth = left.pop()
        nodes += 1
        if depth > MAX_DEPTH:
            raise TextFault(f"nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_NODES:
            raise TextFault(f"more than {MAX_NODES:,} values")
        below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        left.extend((child, depth + 1) for child in below)
