"""YAML text → values that know their line, refusing what is ambiguous or dangerous.

    node = compose("steps:\\n  - id: resize\\n")
    node.value()                                # {"steps": [{"id": "resize"}]}
    node.entries["steps"].items[0].line         # 2

Tags, anchors, aliases, directives, duplicate keys, a second document, NaN, and text that is too long, too deep or too
large are faults and not surprises: a few lines of YAML can otherwise stand for any amount of memory, or for code.
Nothing recurses over the text, and no more of it is read than the limits allow.

Scalars mean what the core schema of YAML 1.2 says, as JSON has it: `yes`, `12:30` and `2019-02-26` are texts.
"""

import dataclasses
import importlib
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from headwater.errors import FailedPrecondition

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {word: word[0] in "tT" for text in ("true", "false") for word in (text, text.title(), text.upper())}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,4000}|0o[0-7]{1,4000}|0x[0-9a-fA-F]{1,3000}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_REFUSED: Final = re.compile("[\0\ud800-\udfff]")
_REFUSED_IN_KEYS: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class YamlMissing(FailedPrecondition):
    """PyYAML is not installed."""

    reason = "YAML_MISSING"
    text = "Reading and writing YAML needs PyYAML: install headwater[yaml]."


class YamlFault(ValueError):
    """The text is not YAML that we read; the message says why, ``line`` and ``column`` (from 1) where."""

    def __init__(self, problem: str, line: int, column: int = 1) -> None:
        super().__init__(f"line {line}: {problem}")
        self.problem = problem
        self.line = line
        self.column = column


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much text is read."""

    max_characters: int = 2**20
    max_depth: int = 32
    max_values: int = 20_000
    max_key_characters: int = 255


@dataclasses.dataclass(slots=True)
class Node:
    """A value: a scalar, a list or a mapping, and where it begins (from 1)."""

    line: int
    column: int
    kind: str
    """``scalar``, ``list`` or ``mapping``."""
    text: str = ""
    """What a scalar's characters are."""
    is_plain: bool = False
    """Whether a scalar stands without quotes."""
    items: list["Node"] = dataclasses.field(default_factory=list)
    entries: dict[str, "Node"] = dataclasses.field(default_factory=dict)
    key_line: int = 0
    """Where the key that names it begins; 0 where none does."""
    key_column: int = 0

    @property
    def is_null(self) -> bool:
        """Whether nothing is written, or ``null``."""
        return self.kind == "scalar" and self.is_plain and self.text in _NULL

    def value(self) -> Any:
        """Plain values; as deep as the limits allow.

        Raises:
            YamlFault: a scalar is NaN, infinite, or a number that becomes so.
        """
        if self.kind == "list":
            return [item.value() for item in self.items]
        if self.kind == "mapping":
            return {key: entry.value() for key, entry in self.entries.items()}
        if not self.is_plain:
            return self.text
        try:
            return scalar(self.text)
        except ValueError as error:
            raise YamlFault(str(error), self.line, self.column) from None

    def texts(self) -> Any:
        """The same, with every scalar as the text that is written: a version 1.10 stays ``1.10``."""
        if self.kind == "list":
            return [item.texts() for item in self.items]
        if self.kind == "mapping":
            return {key: entry.texts() for key, entry in self.entries.items()}
        return self.text


def scalar(text: str) -> bool | int | float | str | None:
    """What a plain scalar means.

    Raises:
        ValueError: it is NaN or infinite, which JSON has no word for.
    """
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is not a number")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text[:40]} is too large for a number")
        return number
    return text


def is_ambiguous(text: str) -> bool:
    """Whether ``text``, written without quotes, would be read as something else than a text."""
    try:
        return not isinstance(scalar(text), str)
    except ValueError:
        return True


def compose(text: str | bytes, limits: Limits | None = None) -> Node:
    """The one document in ``text``; an empty one is a null.

    Raises:
        YamlFault: it is no YAML, or some that we do not read.
        YamlMissing
    """
    limits = limits or Limits()
    if len(text) > limits.max_characters:
        raise YamlFault(f"the text is longer than {limits.max_characters:,} characters", 1)
    yaml = pyyaml()
    try:
        document = text if isinstance(text, str) else text.decode()
        # libyaml's parser, where PyYAML has it, is twenty times as fast; both give the same events.
        events = yaml.parse(document, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _Composer(yaml, limits).compose(events)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise YamlFault("the text is not UTF-8", line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # The problem alone: the mark's excerpt could show a secret.
        raise YamlFault(
            f"no YAML: {error.problem}", mark.line + 1 if mark else 1, mark.column + 1 if mark else 1
        ) from None
    except (yaml.YAMLError, UnicodeEncodeError):
        raise YamlFault("a character that YAML does not allow", _line_of_odd_character(document)) from None


def pyyaml() -> Any:
    """PyYAML, an optional dependency of the client.

    Raises:
        YamlMissing
    """
    try:
        return importlib.import_module("yaml")
    except ImportError as error:
        raise YamlMissing from error


def _line_of_odd_character(document: str) -> int:
    odd = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", document)
    return document.count("\n", 0, odd.start()) + 1 if odd else 1


class _Composer:
    """Events → nodes, with a stack of its own."""

    def __init__(self, yaml: Any, limits: Limits) -> None:
        self._yaml = yaml
        self._limits = limits
        self._count = 0
        self._open: list[Node] = []
        self._keys: list[tuple[str, int, int] | None] = []
        self._root: Node | None = None

    def compose(self, events: Iterator[Any]) -> Node:
        yaml = self._yaml
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.NodeEvent):
                self._add(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
        return self._root or Node(1, 1, "scalar", is_plain=True)

    def _begin(self, event: Any) -> None:
        if self._root is not None:
            raise _fault("a second document begins", event)
        if event.version or event.tags:
            raise _fault("a directive is refused", event)

    def _add(self, event: Any) -> None:
        if isinstance(event, self._yaml.AliasEvent):
            raise _fault("an alias is refused", event)
        if event.anchor:
            raise _fault("an anchor is refused", event)
        if event.tag:
            raise _fault("a tag is refused", event)
        if len(self._open) >= self._limits.max_depth:
            raise _fault(f"nested deeper than {self._limits.max_depth} levels", event)
        if self._open and self._open[-1].kind == "mapping" and self._keys[-1] is None:
            self._keys[-1] = self._key(event)
            return
        self._count += 1
        if self._count > self._limits.max_values:
            raise _fault(f"more than {self._limits.max_values:,} values", event)
        node = self._node(event)
        self._place(node)
        if node.kind != "scalar":
            self._open.append(node)
            self._keys.append(None)

    def _key(self, event: Any) -> tuple[str, int, int]:
        if not isinstance(event, self._yaml.ScalarEvent):
            raise _fault("a key must be text", event)
        key = event.value
        if not 0 < len(key) <= self._limits.max_key_characters or _REFUSED_IN_KEYS.search(key):
            raise _fault(f"a key must be text of 1 to {self._limits.max_key_characters} characters in one line", event)
        if key in self._open[-1].entries:
            raise _fault(f"the key {key!r} is there twice", event)
        return key, event.start_mark.line + 1, event.start_mark.column + 1

    def _node(self, event: Any) -> Node:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, self._yaml.MappingStartEvent):
            return Node(line, column, "mapping")
        if isinstance(event, self._yaml.SequenceStartEvent):
            return Node(line, column, "list")
        if _REFUSED.search(event.value):
            raise _fault("a NUL or half a character in a text", event)
        return Node(line, column, "scalar", event.value, is_plain=not event.style)

    def _place(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif (named := self._keys[-1]) is not None:
            key, node.key_line, node.key_column = named
            parent.entries[key] = node
            self._keys[-1] = None


def _fault(problem: str, event: Any) -> YamlFault:
    return YamlFault(problem, event.start_mark.line + 1, event.start_mark.column + 1)
