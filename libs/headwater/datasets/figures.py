"""How figures of profiles are written for people, in a terminal and on a page."""

import datetime
import math
import re

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_DAY_S = 86_400
_TIMES = re.compile(r"timestamp|date(32|64)")
_UNIT = re.compile(r"timestamp\[(s|ms|us|ns)")
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 6}


def number(value: float) -> str:
    """``1,437``, ``0.2512``, ``1.2e+09``, ``∞``: about four digits, and whole numbers whole."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.4g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.2f}"


def reading(value: float, kind: str, span: float = 0.0) -> str:
    """A number of a column of this Arrow type: of dates and timestamps, which are seconds since 1970, the time.

    Args:
        span: from the least to the greatest number that is shown beside it: parts of a second are told as far as they
            tell a thousandth of it; of 0, as far as the type has them, to the microsecond.
    """
    if not _TIMES.match(kind) or not math.isfinite(value):
        return number(value)
    try:
        moment = datetime.datetime.fromtimestamp(value, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return number(value)
    if kind.startswith("date") or value % _DAY_S == 0:
        return f"{moment:%Y-%m-%d}"
    part = f"{moment.microsecond:06}"[: _digits(kind, span)]
    return f"{moment:%Y-%m-%d %H:%M:%S}{f'.{part}' if part.strip('0') else ''}"


def _digits(kind: str, span: float) -> int:
    """How many digits of a second to show: seconds in a double have no more than six."""
    unit = _UNIT.match(kind)
    most = _DIGITS[unit[1]] if unit else 0
    return min(most, max(0, math.ceil(3 - math.log10(span)))) if 0 < span < math.inf else most


def spread(value: float, kind: str) -> str:
    """A distance between two numbers of a column of this Arrow type: between two times, so many days or seconds."""
    if not _TIMES.match(kind) or not math.isfinite(value):
        return number(value)
    return f"{number(value / _DAY_S)} days" if value >= _DAY_S else f"{number(value)} s"


def size(count: int) -> str:
    """``154.35 GB``: bytes in powers of ten, as disks are sold and ``ls -h --si`` prints."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.4g} {_UNITS[unit]}"


def share(part: int, whole: int) -> str:
    """``12.5 %``; of what is there and rounds to nothing, ``< 0.1 %``."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.95 <= percent < 100 else f"{percent:.1f} %".replace(".0 %", " %")


def about(count: int, *, exact: bool) -> str:
    """``10`` or ``≈ 1,204,311``."""
    return f"{count:,}" if exact else f"≈ {count:,}"
