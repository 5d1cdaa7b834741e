"""JSON and YAML text → plain values, refusing what is ambiguous or dangerous.

Duplicate keys, NaN, YAML tags, anchors and aliases, and documents that are too deep or too large are faults, not
surprises (promise 12: uploaded text never executes and never grows).
"""

import json
from collections.abc import Hashable
from typing import Any, Final, NoReturn

import yaml

MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000


class TextFault(ValueError):
    """The text is not a document we read; the message says why."""


def read(text: str) -> Any:
    """The value that ``text`` holds: JSON when it begins with ``{`` or ``[``, else YAML.

    Raises:
        TextFault: it is neither, or not one we read.
    """
    value = _read_json(text) if text.lstrip()[:1] in ("{", "[") else _read_yaml(text)
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


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, tags and duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise TextFault(f"line {event.start_mark.line + 1}: anchors and aliases are not read")
        if getattr(event, "tag", None):
            raise TextFault(f"line {event.start_mark.line + 1}: tags are not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise TextFault(f"line {node.start_mark.line + 1}: a key must be text")
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise TextFault(f"line {node.start_mark.line + 1}: the key {twice!r} is there twice")
        return super().construct_mapping(node, deep)


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a stricter SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TextFault(f"line {line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, TextFault):
            raise
        raise TextFault("not JSON and not YAML") from error
    except RecursionError as error:
        raise TextFault(f"nested deeper than {MAX_DEPTH} levels") from error


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
