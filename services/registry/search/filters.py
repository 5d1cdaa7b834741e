"""Reading filters, as in ``metrics.accuracy > 0.9 AND (tags.team LIKE 'vis%' OR params.lr = '0.01')``.

A recursive descent by precedence: OR, AND, NOT, brackets, comparison. MLflow's filters are all understood, alike.
"""

from collections.abc import Callable

from services.registry.search.errors import InvalidFilter
from services.registry.search.fields import Field, Fields, Kind, Type
from services.registry.search.reader import Reader
from services.registry.search.tokens import Unreadable
from services.registry.search.tree import (
    EVERYTHING,
    And,
    Comparison,
    Condition,
    NoneOf,
    Not,
    OneOf,
    Operator,
    Or,
    Present,
    Value,
)
from services.registry.search.values import read

MAX_LENGTH = 8192
MAX_DEPTH = 32
MAX_COMPARISONS = 50
MAX_VALUES = 1000
_ON_WORDS = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_ON_TEXT_ONLY = frozenset({Operator.LIKE, Operator.ILIKE, Operator.NOT_LIKE, Operator.NOT_ILIKE})


def parse_filter(text: str, fields: Fields) -> Condition:
    """What ``text`` asks for; EVERYTHING when it is blank.

    Raises:
        InvalidFilter: it cannot be read, or nests or compares too much.
    """
    try:
        return _Filter(text, fields).whole()
    except Unreadable as error:
        raise InvalidFilter(error.sentence("The filter"), position=error.position + 1) from error


class _Filter:
    def __init__(self, text: str, fields: Fields) -> None:
        self._reader = Reader(text, fields, MAX_LENGTH)
        self._depth = 0
        self._comparisons = 0

    def whole(self) -> Condition:
        if self._reader.finished():
            return EVERYTHING
        condition = self._any()
        if not self._reader.finished():
            raise self._reader.unexpected("AND, OR or the end")
        return condition

    def _any(self) -> Condition:
        return self._chain("OR", self._all, Or)

    def _all(self) -> Condition:
        return self._chain("AND", self._one, And)

    def _chain(
        self, word: str, part: Callable[[], Condition], together: Callable[[tuple[Condition, ...]], Condition]
    ) -> Condition:
        parts = [part()]
        while self._reader.accept(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else together(tuple(parts))

    def _one(self) -> Condition:
        begin = self._reader.next.begin
        if not self._reader.next.says("NOT") and not self._reader.next.says("("):
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"it nests more than {MAX_DEPTH} deep", begin)
        if self._reader.accept("NOT"):
            condition: Condition = Not(self._one())
        else:
            self._reader.take()
            condition = self._any()
            self._reader.expect(")", "or AND or OR")
        self._depth -= 1
        return condition

    def _comparison(self) -> Condition:
        name, key, kinds, token = self._reader.field()
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise Unreadable(f"it makes more than {MAX_COMPARISONS} comparisons", token.begin)
        if self._reader.accept("IS", "NULL"):
            return Not(Present(Field(name, key, kinds.kinds[-1])))
        if self._reader.accept("IS", "NOT", "NULL"):
            return Present(Field(name, key, kinds.kinds[-1]))
        if self._reader.accept("IN"):
            return OneOf(*self._values(name, key, kinds))
        if self._reader.accept("NOT", "IN"):
            return NoneOf(*self._values(name, key, kinds))
        return self._compare(name, key, kinds, self._operator())

    def _operator(self) -> Operator:
        for operator in Operator:
            if self._reader.accept(*operator.value.split()):
                return operator
        raise self._reader.unexpected("a comparison (= != < <= > >= LIKE ILIKE IN, NOT IN, IS NULL)")

    def _compare(self, name: str, key: str, kinds: Type, operator: Operator) -> Comparison:
        token = self._reader.next
        if Kind.WORD in kinds.kinds and operator not in _ON_WORDS:
            raise Unreadable(f"{name} is compared with = and !=", token.begin)
        kind, value = read(self._reader.take(), kinds, f"{name}.{key}" if key else name)
        if operator in _ON_TEXT_ONLY:
            if kind is not Kind.TEXT:
                raise Unreadable(f"{operator.value} compares text, in quotes", token.begin)
            if _ends_in_escape(str(value)):
                raise Unreadable("the backslash at the end takes the meaning from nothing", token.begin)
        return Comparison(Field(name, key, kind), operator, value)

    def _values(self, name: str, key: str, kinds: Type) -> tuple[Field, tuple[Value, ...]]:
        self._reader.expect("(", "before the values")
        begin = self._reader.next.begin
        found = [read(self._reader.take(), kinds, name)]
        while self._reader.accept(","):
            found.append(read(self._reader.take(), kinds, name))
        self._reader.expect(")", "after the values")
        if len({kind for kind, _value in found}) > 1:
            raise Unreadable("the values are of different kinds", begin)
        if len(found) > MAX_VALUES:
            raise Unreadable(f"there are more than {MAX_VALUES:,} values", begin)
        return Field(name, key, found[0][0]), tuple(value for _kind, value in found)


def _ends_in_escape(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1
