"""Values as they are written, read as values of a field."""

import datetime
import decimal
import math

from services.registry.ids import as_id
from services.registry.search.fields import Kind, Type
from services.registry.search.tokens import Token, Unreadable
from services.registry.search.tree import Value

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MAX_MILLISECONDS = 10**15  # some 30,000 years; a number like 1e999999999 must not become an int


def read(token: Token, of: Type, field: str) -> tuple[Kind, Value]:
    """The value that ``token`` writes, and as a value of which kind, for the field called ``field``.

    Raises:
        Unreadable: it writes no value, or one that the field cannot have.
    """
    if token.kind == "number":
        if Kind.NUMBER in of.kinds:
            return Kind.NUMBER, _number(token)
        if Kind.TIME in of.kinds:
            return Kind.TIME, _milliseconds(token)
    elif token.kind in ("text", "quoted"):
        if Kind.TEXT in of.kinds:
            return Kind.TEXT, as_id(token.text) if of.is_uid else token.text
        if Kind.WORD in of.kinds:
            return Kind.WORD, _word(token, of, field)
        if Kind.TIME in of.kinds:
            return Kind.TIME, _time(token)
    wanted = " or ".join(kind.value for kind in of.kinds)
    raise Unreadable(f"{field} is compared with {wanted}", token.begin)


def _number(token: Token) -> float:
    number = float(token.text)
    if math.isinf(number):
        raise Unreadable("the number is too large", token.begin)
    return number


def _milliseconds(token: Token) -> datetime.datetime:
    try:
        # In decimal: a float would round today's microseconds.
        milliseconds = decimal.Decimal(token.text)
        if abs(milliseconds) < _MAX_MILLISECONDS:
            return EPOCH + datetime.timedelta(microseconds=int(milliseconds * 1000))
    except (OverflowError, decimal.DecimalException):
        pass
    raise Unreadable("the time lies outside the years 1 to 9999", token.begin)


def _time(token: Token) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(token.text)
        return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable("a time is written as in '2026-01-31T12:00:00Z'", token.begin) from error


def _word(token: Token, of: Type, field: str) -> int:
    number = of.words.get(token.text.upper())
    if number is None:
        raise Unreadable(f"{field} is one of {', '.join(of.words)}", token.begin)
    return number
