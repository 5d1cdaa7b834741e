"""A document's nodes → its section's classes, with everything that is wrong with it noted and not only the first."""

import datetime
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from headwater.marked_yaml import Node, YamlFault
from headwater.packaging import spelling
from headwater.packaging.fields import Field, fields_of
from headwater.packaging.remarks import Place, Remark
from headwater.packaging.values import Secret, holds_credentials, is_placeholder, is_secret, variable_name

MAX_TEXT: Final = 32_768
_PLACEHOLDER: Final = "is a placeholder and taken for nothing"
_TRUTHS: Final = {"true": True, "false": False}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_ABSENT: Final = object()

T = TypeVar("T")


class Reader:
    """Reads sections of one document. What it could not read is left out of them, and is in ``errors``."""

    def __init__(self) -> None:
        self.errors: list[Remark] = []
        self.warnings: list[Remark] = []
        self.places: dict[str, Place] = {}
        """Where each field is, by its path; the place of its key where it has one."""
        self._names: list[str] = []
        self._secrets: dict[str, str] = {}

    def section(self, of: type[T], node: Node, path: str = "") -> T:
        """A section of that class, with what its fields say."""
        entries = self._entries(of, node, path)
        self._names.append(entries["name"].text if "name" in entries else "")
        values: dict[str, Any] = {}
        for field in fields_of(of):
            if field.rule.rest:
                continue
            found, before = entries.pop(field.key, None), len(self.errors)
            value = _ABSENT if found is None or found.is_null else self._field(field, found, _join(path, field.key))
            if value is not _ABSENT:
                values[field.attribute] = value
            elif field.rule.required and len(self.errors) == before:  # what is wrong with it has not been said
                self.error(_join(path, field.key), "is required", node)
        self._rest(of, entries, values, node, path)
        self._names.pop()
        return of(**values)

    def error(self, path: str, message: str, at: Node | Place) -> None:
        """Note what is wrong."""
        self.errors.append(Remark(path, message, _place(at)))

    def warn(self, path: str, message: str, at: Node | Place) -> None:
        """Note what is odd."""
        self.warnings.append(Remark(path, message, _place(at)))

    def pairs(self, node: Node, path: str) -> Mapping[str, Node]:
        """The entries of a mapping, or of a list of mappings with one key each, as MLSpec writes parameters."""
        if node.kind == "mapping":
            return node.entries
        if node.kind != "list" or any(item.kind != "mapping" for item in node.items):
            self.error(path, "must be a mapping", node)
            return {}
        entries: dict[str, Node] = {}
        for item in node.items:
            for key, value in item.entries.items():
                if key in entries:
                    self.error(_join(path, key), "is there twice", value)
                entries[key] = value
        return entries

    def _entries(self, of: type, node: Node, path: str) -> dict[str, Node]:
        """The entries by the keys that are meant."""
        keys = {field.key for field in fields_of(of)}
        entries: dict[str, Node] = {}
        for written, value in self.pairs(node, path).items():
            key = written
            if written not in keys and (meant := spelling.meant(written)) in keys:
                key = meant
                self.warn(_join(path, written), f"is written {key}", key_place(value))
            if key in entries:
                self.error(_join(path, key), f"is there twice, once as {written}", key_place(value))
            entries[key] = value
            self.places[_join(path, key)] = key_place(value)
        return entries

    def _rest(self, of: type, entries: dict[str, Node], values: dict[str, Any], node: Node, path: str) -> None:
        for field in fields_of(of):
            if field.rule.rest:
                assert field.of is not None
                read = {key: self._read(field.of, value, _join(path, key)) for key, value in entries.items()}
                values[field.attribute] = {key: value for key, value in read.items() if value is not _ABSENT}
                return
        names = [field.key for field in fields_of(of)]
        for key, value in entries.items():
            near = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}."
            self.error(_join(path, key), f"is not known; {hint}", key_place(value))

    def _field(self, field: Field, node: Node, path: str) -> Any:
        if field.kind == "any" and node.kind == "scalar" and is_placeholder(node.text):
            self.warn(path, _PLACEHOLDER, node)
            return _ABSENT
        return self._read(field, node, path)

    def _read(self, field: Field, node: Node, path: str) -> Any:
        self.places.setdefault(path, key_place(node))
        reads: dict[str, Callable[[Field, Node, str], Any]] = {
            "text": self._text,
            "boolean": self._boolean,
            "integer": self._number,
            "number": self._number,
            "moment": self._moment,
            "secret": self._secret,
            "section": self._section,
            "list": self._list,
            "mapping": self._mapping,
            "any": self._any,
        }
        return reads[field.kind](field, node, path)

    def _scalar(self, node: Node, path: str, what: str) -> str:
        if node.kind != "scalar":
            self.error(path, f"must be {what} and not a {node.kind}", node)
        return node.text if node.kind == "scalar" else ""

    def _text(self, field: Field, node: Node, path: str) -> Any:
        text = self._scalar(node, path, "a text").strip()
        if is_placeholder(text):
            self.warn(path, _PLACEHOLDER, node)
            return _ABSENT
        if not text:
            return _ABSENT
        if len(text) > MAX_TEXT or _CONTROL.search(text):
            self.error(path, f"must be at most {MAX_TEXT:,} characters, none of them a control character", node)
        elif holds_credentials(text):
            self.error(path, "holds a password or a signature; name a data store or a container store instead", node)
        elif field.rule.choices:
            return self._choice(field.rule.choices, text, node, path)
        elif field.rule.usual and text not in field.rule.usual:
            near = difflib.get_close_matches(text, field.rule.usual, 1)
            hint = f"did you mean {near[0]}?" if near else f"usual are {', '.join(field.rule.usual)}."
            self.warn(path, f"is {text[:100]!r}; {hint}", node)
        if field.rule.refers and (right := spelling.word(text)) != text:
            self.warn(path, f"is written {right}", node)
            return right
        return text

    def _choice(self, choices: tuple[str, ...], text: str, node: Node, path: str) -> Any:
        chosen = next((choice for choice in choices if choice.lower() == text.lower()), None)
        if chosen is None:
            self.error(path, f"is {text[:100]!r} and must be {' or '.join(choices)}", node)
            return _ABSENT
        return chosen

    def _boolean(self, field: Field, node: Node, path: str) -> Any:
        text = self._scalar(node, path, "true or false").strip()
        if text and text.lower() not in _TRUTHS:
            self.error(path, f"is {text[:100]!r} and must be true or false", node)
        return _TRUTHS.get(text.lower(), _ABSENT)

    def _number(self, field: Field, node: Node, path: str) -> Any:
        text = self._scalar(node, path, "a number").strip()
        if not text:
            return _ABSENT
        number = _number(text, whole=field.kind == "integer")
        least = field.rule.least
        if number is None or (least is not None and number < least):
            whole = "a whole number" if field.kind == "integer" else "a number"
            self.error(path, f"is {text[:100]!r} and must be {whole}" + _at_least(least), node)
            return _ABSENT
        return number

    def _moment(self, field: Field, node: Node, path: str) -> Any:
        text = self._scalar(node, path, "a time").strip()
        if not text:
            return _ABSENT
        if is_placeholder(text):
            self.warn(path, _PLACEHOLDER, node)
            return _ABSENT
        moment = _moment(text)
        if moment is None:
            self.error(path, f"is {text[:100]!r} and must be a time such as 2025-01-02T09:00:00Z", node)
        return _ABSENT if moment is None else moment

    def _secret(self, field: Field, node: Node, path: str) -> Any:
        text = self._scalar(node, path, "a text").strip()
        if not text:
            return _ABSENT
        name = next(filter(None, reversed(self._names)), "")
        secret = Secret.parse(text, variable_name(name, field.key))
        if secret.is_clear and self._secrets.setdefault(secret.variable, secret.reveal({})) != secret.reveal({}):
            self.error(
                path, f"would be {secret.variable}, as another secret would; write ${{A_VARIABLE}} instead", node
            )
        elif secret.is_clear:
            message = f"is a secret in clear: it is not stored; set {secret.variable} and write {secret}"
            self.warn(path, message, node)
        return secret

    def _section(self, field: Field, node: Node, path: str) -> Any:
        if node.kind != "mapping" and not _takes_pairs(field.of):
            self.error(path, "must be a mapping", node)
            return _ABSENT
        before = len(self.errors)
        section = self.section(field.of, node, path)
        # What says nothing is not there, so that it is written as it is read.
        return _ABSENT if len(self.errors) == before and section == _nothing(field.of) else section

    def _list(self, field: Field, node: Node, path: str) -> Any:
        if node.kind == "mapping" and field.rule.named:
            items = [_named(key, value, field.rule.named) for key, value in node.entries.items()]
        elif node.kind == "list" or (field.rule.one and node.kind == "mapping"):
            items = node.items if node.kind == "list" else [node]
        else:
            self.error(path, "must be a list", node)
            return _ABSENT
        written = [(item, f"{path}[{at}]") for at, item in enumerate(items) if not item.is_null]
        read = [self._read(field.of, item, where) for item, where in written]
        return tuple(item for item in read if item is not _ABSENT) or _ABSENT

    def _mapping(self, field: Field, node: Node, path: str) -> Any:
        if node.kind != "mapping" and not field.rule.pairs:
            self.error(path, "must be a mapping", node)
            return _ABSENT
        read = {key: self._read(field.of, value, _join(path, key)) for key, value in self.pairs(node, path).items()}
        return {key: value for key, value in read.items() if value is not _ABSENT} or _ABSENT

    def _any(self, field: Field, node: Node, path: str) -> Any:
        try:
            value = node.value()
        except YamlFault as fault:
            self.error(path, fault.problem, Place(fault.line, fault.column))
            return _ABSENT
        if any(holds_credentials(text) for text in _texts(value)):
            self.error(path, "holds a password or a signature; name a data store or a container store instead", node)
        for where, found in _within(node, path):
            if found.kind == "scalar" and not found.is_null and is_secret(where.rpartition(".")[2], found.text):
                self.warn(where, "looks like a secret, and is stored as it stands; write ${A_VARIABLE} instead", found)
        return value


def _named(name: str, value: Node, key: str) -> Node:
    """An item of a list, written as an entry of a mapping."""
    entries = value.entries if value.kind == "mapping" else {key: value}
    named = Node(value.key_line, value.key_column, "scalar", name)
    return Node(value.key_line, value.key_column, "mapping", entries={"name": named, **entries})


def _within(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """A value and all that is in it, each with its path."""
    yield path, node
    for at, item in enumerate(node.items):
        yield from _within(item, f"{path}[{at}]")
    for key, entry in node.entries.items():
        yield from _within(entry, _join(path, key))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _takes_pairs(of: type) -> bool:
    """Whether a section may be written as a list of pairs."""
    return bool(getattr(of, "PAIRS", False))


def _nothing(of: type) -> Any:
    required = {field.attribute for field in fields_of(of) if field.rule.required}
    return None if required else of()


def _number(text: str, whole: bool) -> float | None:
    if not (_INTEGER if whole else _DECIMAL).fullmatch(text):
        return None
    number = int(text) if whole else float(text)
    return number if abs(number) < float("inf") else None


def _moment(text: str) -> datetime.datetime | None:
    try:
        # MLSpec's 2019-01-01T000000 is ISO 8601, with a date in its extended and a time in its basic form.
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _at_least(least: float | None) -> str:
    return "" if least is None else f", at least {least:g}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def key_place(node: Node) -> Place:
    return Place(node.key_line, node.key_column) if node.key_line else Place(node.line, node.column)


def _place(at: Node | Place) -> Place:
    return at if isinstance(at, Place) else Place(at.line, at.column)
