"""Reading tokens one after another: what filters and orders have in common."""

from services.registry.search.fields import Fields, Type, UnknownField
from services.registry.search.tokens import Token, Unreadable, tokens


class Reader:
    """A place in the tokens of a text."""

    def __init__(self, text: str, fields: Fields, max_length: int) -> None:
        self._tokens = tokens(text, max_length)
        self._fields = fields
        self._place = 0

    @property
    def next(self) -> Token:
        """The token that comes next; the last one stays."""
        return self._tokens[self._place]

    def finished(self) -> bool:
        """Whether all has been read."""
        return self.next.kind == "end"

    def take(self) -> Token:
        """The next token, which is then behind us."""
        token = self.next
        if not self.finished():
            self._place += 1
        return token

    def accept(self, *keywords: str) -> bool:
        """Take these keywords or marks if they come next, all of them, and tell whether they did."""
        coming = self._tokens[self._place : self._place + len(keywords)]
        if len(coming) < len(keywords) or not all(map(Token.says, coming, keywords)):
            return False
        self._place += len(keywords)
        return True

    def expect(self, mark: str, why: str) -> None:
        """Take this mark, or raise Unreadable."""
        if not self.accept(mark):
            raise self.unexpected(f"{mark} {why}")

    def unexpected(self, wanted: str) -> Unreadable:
        """The error that something else was wanted here."""
        token = self.next
        there = (
            "the end" if token.kind == "end" else repr(token.text if len(token.text) <= 60 else f"{token.text[:60]}…")
        )
        return Unreadable(f"{wanted} is expected, not {there}", token.begin)

    def field(self) -> tuple[str, str, Type, Token]:
        """Name, key and type of the field that comes next, and its first token.

        Raises:
            Unreadable: there is no such field.
        """
        token = self.next
        if token.kind != "word":
            raise self.unexpected("a field")
        self.take()
        head, dot, key = token.text.partition(".")
        if dot and not key:
            if self.next.kind != "quoted" or self.next.begin != token.end or not self.next.text:
                raise self.unexpected(f"a key of {head}")
            key = self.take().text
        try:
            name, key, kinds = self._fields.find(head, key)
        except UnknownField as error:
            raise Unreadable(str(error), token.begin) from error
        return name, key, kinds, token
