"""From text to a tree of the few kinds of nodes that a condition may have; everything else is refused by name.

The text is read by sqlglot, which only parses. Nothing of it ever becomes SQL.
"""

import re
from collections.abc import Iterator, Mapping, Set
from typing import cast

import sqlglot
from sqlglot import exp

from chassis.filters.errors import InvalidFilter

MAX_LENGTH = 16_384
MAX_DEPTH = 64
MAX_NODES = 20_000

_ONE, _TWO = {"this"}, {"this", "expression"}
ALLOWED: Mapping[type[exp.Expression], Set[str]] = {
    **dict.fromkeys((exp.And, exp.Or, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is, exp.Dot), _TWO),
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Div), _TWO | {"typed", "safe"}),
    **dict.fromkeys((exp.Not, exp.Paren, exp.Neg, exp.Boolean, exp.Null), _ONE),
    **dict.fromkeys((exp.Lower, exp.Upper, exp.Length, exp.Abs), _ONE),
    exp.Between: {"this", "low", "high"},
    exp.In: {"this", "expressions"},
    exp.Like: _TWO | {"negate"},
    exp.Literal: {"this", "is_string"},
    exp.Column: {"this", "table", "db", "catalog"},
    exp.Identifier: {"this", "quoted"},
    exp.Cast: {"this", "to"},
    exp.DataType: {"this", "nested", "expressions"},
}
"""The nodes that are understood, and what of each: a part that is not is refused, never passed over."""
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_WORDS = {exp.Lower: "lower", exp.Upper: "upper", exp.Length: "length", exp.Abs: "abs"}
FUNCTIONS = tuple(sorted(_WORDS.values()))


def parse(text: str) -> exp.Expression:
    """The condition as sqlglot's tree, of allowed nodes only.

    Raises:
        InvalidFilter
    """
    if len(text) > MAX_LENGTH:
        raise InvalidFilter(f"A filter may have {MAX_LENGTH:,} characters; this one has {len(text):,}.")
    _check_nesting(text)
    try:
        tree = cast(exp.Expression, sqlglot.parse_one(text, into=exp.Condition))
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise InvalidFilter(f"The filter cannot be read: {_first_line(error)}") from error
    except RecursionError as error:
        raise InvalidFilter("The filter is nested too deeply.") from error
    for number, (node, depth) in enumerate(_nodes(tree)):
        if depth > MAX_DEPTH or number > MAX_NODES:
            raise InvalidFilter("The filter is nested too deeply, or too long.")
        parts = {name for name, value in node.args.items() if value not in (None, False, [])}
        if node.comments or type(node) not in ALLOWED or not parts <= ALLOWED[type(node)]:
            raise InvalidFilter(f"{_name(node)} cannot be used in a filter.")
    return tree


def _nodes(tree: exp.Expression) -> Iterator[tuple[exp.Expression, int]]:
    """Every node with its depth; a long chain of AND or OR counts as one level."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        for child in node.iter_expressions():
            deeper = not (isinstance(node, exp.And | exp.Or) and type(child) is type(node))
            waiting.append((child, depth + deeper))


def _check_nesting(text: str) -> None:
    """Parsers recurse: what nests beyond all reason is refused before."""
    text = _QUOTED.sub("", text)
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth > MAX_DEPTH:
            raise InvalidFilter("The filter is nested too deeply.")
    if text.upper().count("NOT") > MAX_DEPTH * 4 or text.count("--") or text.count("/*"):
        raise InvalidFilter("The filter has comments, or is nested too deeply.")


def _name(node: exp.Expression) -> str:
    if isinstance(node, exp.Anonymous):
        return f"The function {node.name}"
    return f"{type(node).__name__} ({node.sql()[:60]})" if not node.comments else "A comment"


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0].replace("\x1b[4m", "").replace("\x1b[0m", "")
    return re.sub(r" into <class '[^']*'>", "", line)[:200]
