"""Semantic versions of models: which texts are one, and which may follow which (docs/reference/model-versions.md)."""

import datetime
import re
from collections.abc import Sequence

from headwater.semver import SemVer
from services.registry.versions.errors import BreakingChange, InvalidSemanticVersion, VersionNotGreater

_EXTENDED = re.compile(r"v?\d+\.\d+\.\d+[-+].+", re.ASCII)
_NUMBERS = re.compile(r"[0-9]+", re.ASCII)
_YEARS = range(1970, 2101)


def semantic_version(text: str) -> SemVer | None:
    """The version that ``text`` writes, ``v1.2.3`` or ``1.2.3`` (K-02); None for an empty text.

    Raises:
        InvalidSemanticVersion: it writes none, or a date or time instead of one (R-20); the text says which.
    """
    if not text:
        return None
    if _is_time(text):
        raise InvalidSemanticVersion(
            f"{text} is a date or a time, which says nothing of what changed: count v1.2.3 instead. "
            "When a version was registered is kept anyway.",
            semantic_version=text,
        )
    if _EXTENDED.fullmatch(text):
        raise InvalidSemanticVersion(
            f"{text} has a pre-release or build part; a version is MAJOR.MINOR.PATCH alone. "
            "An alias says that one is a release candidate.",
            semantic_version=text,
        )
    version = SemVer.match(text)
    if version is None:
        raise InvalidSemanticVersion(f"{text} is not like v1.2.3.", semantic_version=text)
    return version


def check_greater(version: SemVer, highest: SemVer | None) -> None:
    """Go on if ``version`` is higher than every one that was given out.

    Raises:
        VersionNotGreater: telling the highest.
    """
    if highest is not None and version <= highest:
        raise VersionNotGreater(
            f"{version} is not higher than {highest}, the highest so far.", semantic_version=version, highest=highest
        )


def may_break(version: SemVer, base: SemVer) -> bool:
    """Whether ``version`` may break those who call ``base``: after a major step, or a minor one below v1.0.0."""
    return version.major > base.major or (base.major == 0 and version.minor > base.minor)


def check_step(version: SemVer, base: SemVer, breaking_changes: Sequence[str]) -> None:
    """Go on if the step from ``base`` is large enough for what changed (M-80).

    Raises:
        BreakingChange: naming each change.
    """
    if not breaking_changes or may_break(version, base):
        return
    least = SemVer(0, base.minor + 1, 0) if base.major == 0 else SemVer(base.major + 1, 0, 0)
    raise BreakingChange(
        f"{version} would break those who call {base}: {'; '.join(breaking_changes)}. It must be {least} or higher.",
        semantic_version=version,
        base=base,
        least=least,
        breaking_changes="; ".join(breaking_changes),
    )


def _is_time(text: str) -> bool:
    """``20240115``, ``2024.01.15``, ``2024-01-15T10:00``, ``1700000000``, ``v2024.1.0``."""
    numbers = _NUMBERS.findall(text)
    if not numbers:
        return False
    if any(len(number) >= 10 or _is_date(number) for number in numbers):  # a Unix time has ten digits since 2001
        return True
    return len(numbers[0]) == 4 and int(numbers[0]) in _YEARS


def _is_date(digits: str) -> bool:
    if len(digits) != 8 or int(digits[:4]) not in _YEARS:
        return False
    try:
        datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True
