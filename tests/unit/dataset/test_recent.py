"""What is remembered of what was used lately."""

from chassis.testing import ManualClock
from services.dataset.recent import Recent


def test_what_was_not_used_for_longest_goes_first() -> None:
    recent: Recent[str, int] = Recent(10, lambda value: value)
    for key, weight in (("a", 4), ("b", 4), ("c", 2)):
        recent.put(key, weight)
    assert recent.get("a") == 4
    recent.put("d", 3)
    assert [recent.get(key) for key in "abcd"] == [4, None, 2, 3]


def test_a_value_is_forgotten_when_it_is_old_however_often_it_is_used(clock: ManualClock) -> None:
    recent: Recent[str, int] = Recent(10, lambda value: value, max_age_s=60, monotonic=clock.monotonic)
    recent.put("a", 6)
    clock.advance(59)
    assert recent.get("a") == 6
    clock.advance(1)
    assert recent.get("a") is None
    # Nor does it weigh anything.
    recent.put("b", 5)
    recent.put("c", 5)
    assert (recent.get("b"), recent.get("c")) == (5, 5)


def test_a_value_that_is_put_again_is_young_again(clock: ManualClock) -> None:
    recent: Recent[str, int] = Recent(10, lambda value: value, max_age_s=60, monotonic=clock.monotonic)
    recent.put("a", 6)
    clock.advance(59)
    recent.put("a", 7)
    clock.advance(59)
    assert recent.get("a") == 7
