"""PSI, KS and what chance allows them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.inference.drift.judgement import judge
from services.inference.drift.model import Level
from services.inference.drift.options import Drift
from services.inference.drift.reference import Categories, Numbers, of_numbers, of_texts
from services.inference.drift.statistics import Floats, chi_square_quantile, ks, ks_critical, psi, psi_critical

_STRICT = Drift(warn_psi=0.0, alert_psi=0.0, warn_ks=0.0, alert_ks=0.0, false_alarms=0.05)
"""With these bounds, chance alone decides."""
_NUMBERS = arrays.arrays(
    np.float64, st.integers(1, 60), elements=st.floats(allow_nan=True, allow_infinity=True, width=32)
)


def test_psi_is_that_of_the_textbook() -> None:
    """M-105: by a second implementation, term by term."""
    expected, observed = [0.1, 0.2, 0.3, 0.4], [40, 30, 20, 10]
    pairs = zip(expected, observed, strict=True)
    wanted = sum((found / 100 - share) * math.log(found / 100 / share) for share, found in pairs)
    assert psi(np.array(expected), np.array(observed)) == pytest.approx(wanted)


def test_an_empty_bin_does_not_make_psi_infinite() -> None:
    assert 0.2 < psi(np.array([0.5, 0.5, 0.0]), np.array([40, 40, 20])) < 3
    assert psi(np.array([1.0]), np.array([0])) == 0


def test_ks_in_bins_is_at_most_the_exact_one_and_close_to_it() -> None:
    """M-105: against the two-sample statistic of all values."""
    random = np.random.default_rng(1)
    first, second = random.normal(size=2000), random.normal(0.3, 1.2, size=1500)
    reference = of_numbers(first)
    found = ks(np.asarray(reference.shares[:-1]), reference.count(second)[:-1])
    every = np.concatenate([first, second])
    ranks = [np.searchsorted(np.sort(each), every, side="right") / len(each) for each in (first, second)]
    exact = float(np.abs(ranks[0] - ranks[1]).max())
    assert exact - 2 / 64 < found <= exact + 1e-9


@pytest.mark.parametrize(
    ("probability", "degrees", "exact"),
    [(0.95, 1, 3.8415), (0.95, 2, 5.9915), (0.99, 9, 21.666), (0.999, 10, 29.588), (0.9999, 64, 114.83)],
)
def test_quantiles_of_chi_square_are_those_of_the_tables(probability: float, degrees: int, exact: float) -> None:
    assert chi_square_quantile(probability, degrees) == pytest.approx(exact, rel=0.03)


def test_fewer_rows_may_go_farther_by_chance() -> None:
    assert psi_critical(10, 1000, 100, 0.01) > psi_critical(10, 1000, 1000, 0.01) > psi_critical(10, 10**6, 1000, 0.01)
    assert ks_critical(1000, 100, 0.05) == pytest.approx(1.358 * math.sqrt(1100 / 100_000), rel=1e-3)
    assert ks_critical(0, 5, 0.05) == psi_critical(3, 5, 0, 0.05) == math.inf


@settings(max_examples=60)
@given(_NUMBERS, _NUMBERS, st.randoms())
def test_the_order_of_values_does_not_matter(first: Floats, second: Floats, random: object) -> None:
    shuffled = second.copy()
    np.random.default_rng(3).shuffle(shuffled)
    reference = of_numbers(first)
    assert (reference.count(second) == reference.count(shuffled)).all()
    assert of_numbers(first[::-1]) == reference


@settings(max_examples=60)
@given(_NUMBERS, _NUMBERS)
def test_every_value_is_in_one_bin_and_the_distances_are_within_their_bounds(first: Floats, second: Floats) -> None:
    """M-105: NaN, infinities and constants among them."""
    reference = of_numbers(first)
    counts = reference.count(second)
    assert counts.sum() == len(second)
    assert sum(reference.shares) == pytest.approx(1)
    found = judge("x", "input", "", reference, counts, Drift(), 1)
    assert found.psi >= 0
    assert found.ks is None or 0 <= found.ks <= 1
    assert sum(each.expected for each in found.bins) == pytest.approx(1)
    same = judge("x", "input", "", reference, reference.count(first), Drift(), 1)
    assert same.psi == pytest.approx(0, abs=1e-9)
    assert same.level is Level.STEADY


@pytest.mark.parametrize("kind", ["normal", "skewed", "few", "texts"])
def test_no_more_false_alarms_than_stated(kind: str) -> None:
    """M-105, P-36: one in twenty is allowed; of 400 windows of what has not changed at most 32 may be (p < 0.005)."""
    random = np.random.default_rng(7)

    def drawn(rows: int) -> Floats:
        match kind:
            case "normal":
                return random.normal(size=rows)
            case "skewed":
                return np.where(random.random(rows) < 0.6, 0, random.lognormal(size=rows))
        return random.choice(5, p=[0.5, 0.3, 0.1, 0.07, 0.03], size=rows).astype(np.float64)

    alarms = 0
    for _ in range(400):
        reference: Numbers | Categories
        if kind == "texts":
            reference = of_texts([str(each) for each in drawn(400)])
            counts = reference.count([str(each) for each in drawn(300)])
        else:
            reference = of_numbers(drawn(400))
            counts = reference.count(drawn(300))
        alarms += judge("x", "input", "", reference, counts, _STRICT, 1).level is Level.ALERT
    assert alarms <= 32


@pytest.mark.parametrize("shift", [0.8, -0.8])
def test_a_shift_is_an_alarm(shift: float) -> None:
    random = np.random.default_rng(11)
    reference = of_numbers(random.normal(size=1000))
    found = judge("x", "input", "", reference, reference.count(random.normal(shift, size=500)), Drift(), 16)
    assert found.level is Level.ALERT
    assert found.psi > 0.2
    assert found.ks is not None
    assert found.ks > found.ks_critical


def test_a_constant_that_changes_and_a_category_that_is_new_are_alarms() -> None:
    constant = of_numbers(np.full(1000, 3.0))
    assert judge("x", "input", "", constant, constant.count(np.full(500, 3.0)), Drift(), 1).level is Level.STEADY
    assert judge("x", "input", "", constant, constant.count(np.full(500, 3.5)), Drift(), 1).level is Level.ALERT
    colours = of_texts(["red", "green"] * 500)
    found = judge("x", "input", "", colours, colours.count(["red", "green"] * 200 + ["blue"] * 100), Drift(), 1)
    assert found.level is Level.ALERT
    assert found.ks is None
    assert {each.label: each.observed for each in found.bins}["other"] == 0.2


def test_values_that_are_missing_are_an_alarm_of_psi() -> None:
    random = np.random.default_rng(5)
    reference = of_numbers(random.normal(size=1000))
    values = random.normal(size=500)
    values[:150] = np.nan
    found = judge("x", "input", "", reference, reference.count(values), Drift(), 1)
    assert (found.missing, found.level) == (150, Level.ALERT)
    assert found.ks is not None
    assert found.ks < 0.1
