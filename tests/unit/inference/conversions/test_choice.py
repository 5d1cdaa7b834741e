"""Which of several measured ways is chosen."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.conversions.choice import best_batch, choose, why_not
from services.inference.conversions.evidence import BASELINE, BatchTime, Candidate
from services.inference.conversions.working.timing import measure, quartiles

SOURCE = Candidate(BASELINE, "torch_export", 2, median_ms=10, low_ms=9, high_ms=11, speedup=1.0, rounds=7)
TIMES = st.floats(0.01, 100)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    low, median, high = sorted(draw(st.tuples(TIMES, TIMES, TIMES)))
    return Candidate(
        f"{draw(st.sampled_from(['onnx', 'torchscript']))} {draw(st.integers(1, 10**9))}",
        "onnx",
        1,
        refused=draw(st.sampled_from(["", "", "too far off"])),
        median_ms=median,
        low_ms=low,
        high_ms=high,
        speedup=draw(st.floats(0.1, 20)),
        rounds=draw(st.sampled_from([7, 7, 5, 0])),
    )


def onnx(name: str = "onnx", **facts: object) -> Candidate:
    faster = Candidate(name, "onnx", 1, median_ms=5, low_ms=4, high_ms=6, speedup=2.0, rounds=7)
    return dataclasses.replace(faster, **facts)  # type: ignore[arg-type]


@given(st.lists(candidates(), max_size=6, unique_by=lambda each: each.name), st.floats(1, 3))
@settings(max_examples=200)
def test_nothing_slower_and_nothing_that_the_gate_refused_is_ever_chosen(
    others: list[Candidate], min_speedup: float
) -> None:
    """P-29: never below 1 times the baseline."""
    chosen = choose([SOURCE, *others], min_speedup)
    if chosen is not SOURCE:
        assert not chosen.refused
        assert chosen.speedup >= min_speedup
        assert chosen.speedup > 1
        assert chosen.high_ms < SOURCE.median_ms
        assert chosen.rounds == SOURCE.rounds
    allowed = [each for each in others if not why_not(each, SOURCE, min_speedup)]
    assert all(each.speedup <= chosen.speedup for each in allowed)
    assert (chosen is SOURCE) == (not allowed)


def test_why_one_is_not_chosen_is_said() -> None:
    assert choose([SOURCE, onnx(), onnx("better", speedup=2.5)]).name == "better"
    assert why_not(onnx(), SOURCE) == ""
    assert why_not(onnx(refused="too far off"), SOURCE) == "too far off"
    assert "0.90 times as fast" in why_not(onnx(speedup=0.9), SOURCE)
    assert "3 times and more is asked for" in why_not(onnx(), SOURCE, 3)
    assert "only in some rounds" in why_not(onnx(high_ms=12), SOURCE)
    assert "dropped after 5 rounds" in why_not(onnx(rounds=5), SOURCE)
    assert "not measured" in why_not(onnx(rounds=0), SOURCE)


@given(st.lists(TIMES, min_size=1, max_size=8))
def test_the_best_batch_is_the_smallest_that_is_nearly_as_good_as_any(times: list[float]) -> None:
    """P-29: on the monotone curve that batching uses."""
    points = [BatchTime(1 << power, time) for power, time in enumerate(sorted(times))]
    best = best_batch(points)
    throughput = {point.rows: point.rows / point.median_ms for point in points}
    most = max(throughput.values())
    assert throughput[best] >= 0.95 * most * (1 - 1e-9)
    assert all(value < 0.95 * most * (1 + 1e-9) for rows, value in throughput.items() if rows < best)


def test_without_batches_there_is_no_best_one() -> None:
    assert best_batch([]) == 0
    assert best_batch([BatchTime(1, 1.0), BatchTime(2, 2.0), BatchTime(4, 4.0)]) == 1
    assert best_batch([BatchTime(1, 1.0), BatchTime(2, 1.1), BatchTime(4, 2.1)]) == 2
    assert best_batch([BatchTime(1, 1.0), BatchTime(2, 1.1), BatchTime(4, 1.5)]) == 4


class Clock:
    """Time that passes only by what is called."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def call(self, seconds: float) -> "Call":
        return Call(self, seconds)


@dataclasses.dataclass
class Call:
    clock: Clock
    seconds: float
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        self.clock.now += self.seconds


def test_what_is_measured_is_measured_beside_the_baseline() -> None:
    """Several calls of what is short; and what is hopeless no longer than it takes to see that."""
    clock = Clock()
    calls = {BASELINE: clock.call(0.01), "fast": clock.call(0.001), "slow": clock.call(0.1)}
    found = measure(calls, BASELINE, seconds=1.0, clock=clock)
    assert abs(found["fast"].median_s - 0.001) < 1e-9
    assert abs(found["fast"].speedup - 10) < 1e-6
    assert abs(found["slow"].speedup - 0.1) < 1e-6
    assert len(found["slow"].seconds) == 5
    assert len(found[BASELINE].seconds) == len(found["fast"].seconds) > 7
    assert calls["fast"].calls > 4 * len(found["fast"].seconds)


def test_quarters_of_few_numbers() -> None:
    assert quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert quartiles([1.0, 2.0, 3.0]) == (1.5, 2.0, 2.5)
