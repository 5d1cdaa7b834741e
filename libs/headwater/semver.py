"""Semantic versions (https://semver.org), in the one form that Headwater writes: ``v1.2.3``."""

import dataclasses
import re
from typing import Self

_NUMBER = r"(0|[1-9][0-9]{0,8})"
_PATTERN = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class SemVer:
    """``v1.2.3``; ordered. Each number is below 10^9."""

    major: int
    minor: int
    patch: int

    @classmethod
    def match(cls, text: str) -> Self | None:
        """The version that ``text`` writes, ``v1.2.3`` or ``1.2.3`` (K-02); None when it writes none."""
        match = _PATTERN.fullmatch(text)
        return cls(*(int(number) for number in match.groups())) if match else None

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"
