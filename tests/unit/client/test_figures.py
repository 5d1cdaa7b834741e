"""How figures of profiles are written."""

import pytest

from headwater.datasets.figures import reading

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC


@pytest.mark.parametrize(
    ("value", "kind", "span", "shown"),
    [
        (NOON, "timestamp[us]", 1e-4, "2023-11-15 12:00:00"),
        (NOON + 0.000_017, "timestamp[us, tz=UTC]", 1e-4, "2023-11-15 12:00:00.000017"),
        (NOON + 0.123_456, "timestamp[ns]", 1e-4, "2023-11-15 12:00:00.123456"),
        (NOON + 0.123_456, "timestamp[us]", 0.0, "2023-11-15 12:00:00.123456"),
        (NOON + 0.123_456, "timestamp[us]", 1.0, "2023-11-15 12:00:00.123"),
        (NOON + 0.123_456, "timestamp[ms]", 1e-3, "2023-11-15 12:00:00.123"),
        (NOON + 0.123_456, "timestamp[us]", 86_400.0, "2023-11-15 12:00:00"),
        (NOON + 0.5, "timestamp[s]", 1.0, "2023-11-15 12:00:00"),
        (NOON - 43_200, "timestamp[us]", 1e-4, "2023-11-15"),
        (NOON, "date32[day]", 86_400.0, "2023-11-15"),
        (NOON, "int64", 1e-4, "1.7e+09"),
    ],
)
def test_times_are_shown_as_finely_as_they_differ(value: float, kind: str, span: float, shown: str) -> None:
    assert reading(value, kind, span) == shown


def test_times_that_differ_by_microseconds_read_differently_at_every_quantile() -> None:
    values = [NOON + step / 1e6 for step in range(0, 100, 25)]
    assert len({reading(value, "timestamp[us]", values[-1] - values[0]) for value in values}) == len(values)
