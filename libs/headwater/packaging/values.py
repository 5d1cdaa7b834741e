"""Values of documents that need more than a text."""

import re
from collections.abc import Mapping
from typing import Any, Final, Self

from headwater.errors import FailedPrecondition

_REFERENCE: Final = re.compile(r"\$(?:\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))", re.ASCII)
_CREDENTIALS: Final = re.compile(
    r"//[^/@\s:]*:[^/@\s]*@"
    r"|[?&]((x-amz-|x-goog-)?signature|x-amz-security-token|sig|(access_)?token|api_?key|secret|passw(or)?d)=",
    re.IGNORECASE,
)
_SECRETS: Final = re.compile(
    r"(.*[^a-z])?(passw(or)?d|secret|(api|access|secret|private)_?key|(auth|access)_?token)", re.IGNORECASE
)
_PLACEHOLDER: Final = re.compile(r"x{3,}|enum\(.*\)|\S*\.\.\.\s+or\s.*", re.IGNORECASE)


class SecretNotSet(FailedPrecondition):
    """The environment variable that holds a secret is not set."""

    reason = "SECRET_NOT_SET"


class Secret:
    """A secret, known by the environment variable that holds it.

    Where a document has it in clear, it is kept for :meth:`reveal` and shown nowhere: not in ``repr``, ``str``, JSON,
    YAML, pickles or copies. Two secrets are equal when their variables are.
    """

    __slots__ = ("_clear", "variable")

    def __init__(self, variable: str, clear: str = "") -> None:
        self.variable = variable
        self._clear = clear

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """``${NAME}``, ``$NAME`` and ``${env:NAME}`` refer to a variable; all else is in clear, for ``variable``."""
        match = _REFERENCE.fullmatch(text)
        return cls(match[1] or match[2]) if match else cls(variable, text)

    @property
    def is_clear(self) -> bool:
        """Whether the document had it in clear."""
        return bool(self._clear)

    def reveal(self, environment: Mapping[str, str]) -> str:
        """The secret itself.

        Raises:
            SecretNotSet: naming the variable.
        """
        if self._clear:
            return self._clear
        try:
            return environment[self.variable]
        except KeyError:
            raise SecretNotSet(f"Set {self.variable} in the environment.", variable=self.variable) from None

    def __str__(self) -> str:
        return f"${{{self.variable}}}"

    def __repr__(self) -> str:
        return f"Secret({self.variable!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.variable == self.variable

    def __hash__(self) -> int:
        return hash(self.variable)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        return Secret, (self.variable,)


def variable_name(*words: str) -> str:
    """``age datastore``, ``access_key_id`` → ``AGE_DATASTORE_ACCESS_KEY_ID``."""
    name = re.sub(r"[^A-Z0-9]+", "_", "_".join(filter(None, words)).upper()).strip("_")
    return f"_{name}" if name[:1].isdigit() else name or "SECRET"


def holds_credentials(text: str) -> bool:
    """Whether an address in ``text`` has a password or a signature in it."""
    return _CREDENTIALS.search(text) is not None


def is_secret(key: str, text: str) -> bool:
    """Whether ``text``, which stands under ``key``, is by that name a secret in clear, and no reference to one."""
    return bool(text) and _SECRETS.fullmatch(key) is not None and _REFERENCE.fullmatch(text) is None


def is_placeholder(text: str) -> bool:
    """Whether ``text`` stands for a text that somebody is still to write, as in MLSpec's examples: ``xxx``."""
    return _PLACEHOLDER.fullmatch(text) is not None


def slug(text: str) -> str:
    """A legal resource name for what people call something (K-10): ``Facial Age estimator`` → ``facial-age-estimator``.

    Empty where ``text`` has no letter and no digit of ASCII.
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower(), flags=re.ASCII).strip("-_")[:255].rstrip("-_")
