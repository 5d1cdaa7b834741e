"""A text of the language in tokens."""

import dataclasses
import re
from collections.abc import Sequence

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.]))
    | (?P<word>[^\W\d][\w./-]*)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    | (?P<mark><=|>=|!=|[=<>(),])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A part of the text: a ``number``, ``word``, ``text`` in single quotes, ``quoted`` word, ``mark``, or the ``end``.

    ``text`` is what is written, without its quotes; ``begin`` and ``end`` tell where, the first character being 0.
    """

    kind: str
    text: str
    begin: int
    end: int

    def says(self, keyword: str) -> bool:
        """Whether it is this keyword, in whatever case, or this mark."""
        return self.kind in ("word", "mark") and self.text.upper() == keyword


class Unreadable(Exception):
    """What stands at ``position``, from 0, cannot stand there."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position

    def sentence(self, what: str) -> str:
        """The message for people; they count from 1."""
        said = str(self)
        return f"{what} cannot be read at character {self.position + 1}: {said}{'' if said.endswith('?') else '.'}"


def tokens(text: str, max_length: int) -> Sequence[Token]:
    """The tokens of ``text``, the last of which is its end.

    Raises:
        Unreadable: it is longer than ``max_length``, or something in it is no token.
    """
    if len(text) > max_length:
        raise Unreadable(f"it may have {max_length:,} characters and has {len(text):,}", max_length)
    if "\0" in text:
        raise Unreadable("NUL is no character of a text", text.index("\0"))
    found: list[Token] = []
    position = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            begin = position + len(text[position:]) - len(text[position:].lstrip())
            raise Unreadable(_not_a_token(text[begin]), begin)
        kind = str(match.lastgroup)
        written = match[kind]
        if kind in ("text", "quoted"):
            written = written[1:-1].replace(written[0] * 2, written[0])
        found.append(Token(kind, written, match.start(kind), match.end()))
        position = match.end()
    return found


def _not_a_token(character: str) -> str:
    if character in "'\"`":
        return "the quote is never closed"
    return f"{character!r} means nothing here"
