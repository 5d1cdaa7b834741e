"""Which points of a metric a plot gets."""

from hypothesis import given
from hypothesis import strategies as st

from services.registry.metrics.model import Span


@given(most=st.integers(2, 30), count=st.integers(1, 200), bounds=st.tuples(st.integers(0, 200), st.integers(0, 200)))
def test_the_points_picked_of_a_part_are_those_picked_of_all(most: int, count: int, bounds: tuple[int, int]) -> None:
    begin, end = (min(bound, count) for bound in sorted(bounds))
    span = Span(most)
    assert list(span.picked(begin, end, count)) == [n for n in range(begin, end) if span.picks(n, count)]
