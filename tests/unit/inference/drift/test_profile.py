"""References from a dataset's profile, against the rows that the profile is of."""

import numpy as np
import pytest

from services.inference.drift.judgement import judge
from services.inference.drift.measuring import Columns, Of, Side, measure
from services.inference.drift.model import Level
from services.inference.drift.options import Drift
from services.inference.drift.profile import Column, Distribution, of_column, of_lengths
from services.inference.drift.reference import Categories, Numbers
from services.inference.drift.statistics import Floats
from services.inference.tensors.model import Tensor

_RANKS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_ROWS = 50_000


def profiled(values: Floats, *, listed: int = 20) -> Column:
    """As the dataset service profiles a column of doubles, but exactly."""
    present = values[~np.isnan(values)]
    counts, edges = np.histogram(present, 32)
    numbers, often = np.unique(present, return_counts=True)
    order = np.argsort(-often, kind="stable")[:listed]
    return Column(
        "c",
        len(values),
        len(values) - len(present),
        Distribution(
            float(present.min()),
            float(present.max()),
            tuple((rank, float(np.quantile(present, rank))) for rank in _RANKS),
            tuple(zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)),
        ),
        top=tuple((str(numbers[each]), int(often[each])) for each in order),
        top_is_all=len(numbers) <= listed,
    )


def drawn(kind: str, random: np.random.Generator, rows: int) -> Floats:
    match kind:
        case "normal":
            return random.normal(3, 2, rows)
        case "skewed":
            return random.lognormal(0, 1.5, rows)
        case "mostly zero":
            return np.where(random.random(rows) < 0.6, 0.0, random.exponential(2.0, rows))
        case "missing":
            return np.where(random.random(rows) < 0.3, np.nan, random.normal(size=rows))
        case "whole":
            return random.poisson(30, rows).astype(np.float64)
        case "constant":
            return np.full(rows, 7.0)
    return random.choice([0.0, 1.0, 5.0], p=[0.7, 0.2, 0.1], size=rows)


@pytest.mark.parametrize("kind", ["normal", "skewed", "mostly zero", "missing", "whole", "constant", "few"])
def test_rows_like_those_of_the_profile_are_steady_and_others_are_not(kind: str) -> None:
    """M-105: twenty windows of what has not changed, and one of what has."""
    random = np.random.default_rng(2)
    reference = of_column(profiled(drawn(kind, random, _ROWS)), texts=False)
    assert isinstance(reference, Numbers)
    assert sum(reference.shares) == pytest.approx(1)
    assert min(reference.shares) >= -1e-9
    for _ in range(20):
        counts = reference.count(drawn(kind, random, 1000))
        found = judge("c", "input", "", reference, counts, Drift(), 10)
        assert found.level is Level.STEADY, found
    moved = judge("c", "input", "", reference, reference.count(drawn(kind, random, 1000) * 1.6 + 1), Drift(), 10)
    assert moved.level is Level.ALERT


def test_texts_are_compared_with_the_frequent_ones() -> None:
    column = Column("c", 1000, 50, top=(("red", 500), ("green", 300)), lengths=Distribution(3, 5, ((0.5, 4.0),)))
    reference = of_column(column, texts=True)
    assert isinstance(reference, Categories)
    assert reference.shares == pytest.approx((0.5, 0.3, 0.15, 0.05))
    assert of_lengths(column) is not None
    assert of_column(Column("c", 0, 0), texts=False) is None
    assert of_column(Column("c", 10, 10), texts=False) is None


def test_truths_are_numbers() -> None:
    reference = of_column(Column("c", 10, 0, top=(("true", 8), ("false", 2)), top_is_all=True), texts=False)
    assert reference is not None
    assert reference.count(np.array([0.0, 1.0, 1.0, 2.0])).tolist() == [0, 1, 0, 2, 1, 0]


def _measured(tensor: Tensor, side: Side, columns: Columns | None = None) -> dict[str, list[object]]:
    known = {} if columns is None else {tensor.name: columns}
    return {
        feature.name: list(values) for feature, values in measure([[tensor], [tensor]], side, known, batchable=True)
    }


def test_features_of_inputs_are_their_columns() -> None:
    """M-105."""
    table = Tensor("x", "FP32", np.array([[1, 2], [3, 4]], np.float32))
    assert _measured(table, Side.INPUT, Columns(("a", "b"))) == {"x.a": [1, 3, 1, 3], "x.b": [2, 4, 2, 4]}
    assert list(_measured(table, Side.INPUT)) == ["x[0]", "x[1]"]
    assert list(_measured(table, Side.INPUT, Columns(("", "b")))) == ["x.b"]
    assert list(_measured(table, Side.INPUT, Columns(("a", "b"), frozenset({1})))) == ["x.a"]
    assert _measured(table, Side.INPUT, Columns(hidden=None)) == {}
    single = Tensor("age", "INT64", np.array([[5], [6]]))
    assert _measured(single, Side.INPUT) == {"age": [5, 6, 5, 6]}
    wide = Tensor("x", "FP32", np.ones((2, 1000), np.float32))
    assert _measured(wide, Side.INPUT) == {"x.mean": [1] * 4, "x.deviation": [0] * 4}
    assert _measured(wide, Side.INPUT, Columns(hidden=frozenset({3}))) == {}
    assert _measured(Tensor("x", "FP32", np.ones((0, 3), np.float32)), Side.INPUT) == {}


def test_features_of_images_are_brightness_and_channels() -> None:
    image = np.zeros((1, 3, 8, 8), np.uint8)
    image[:, 0] = 30
    found = _measured(Tensor("image", "UINT8", image), Side.INPUT)
    assert found["image.brightness"] == [10, 10]
    assert [found[f"image.mean[{channel}]"][0] for channel in range(3)] == [30, 0, 0]
    last = _measured(Tensor("image", "UINT8", image.transpose(0, 2, 3, 1)), Side.INPUT)
    assert last == found


def test_features_of_texts_and_raw_files() -> None:
    texts = Tensor("colour", "BYTES", np.array([b"red", b"gr\xff"], object))
    assert _measured(texts, Side.INPUT) == {"colour": ["red", "gr\ufffd"] * 2, "colour.length": [3, 3, 3, 3]}
    raw = Tensor("raw", "BYTES", np.array([b"12345"], object))
    assert _measured(raw, Side.INPUT) == {"raw.size": [5, 5]}


def test_features_of_predictions_are_the_class_and_how_sure_it_is() -> None:
    scores = Tensor("y", "FP32", np.array([[0.1, 0.9], [np.nan, 1]], np.float32))
    found = _measured(scores, Side.PREDICTION)
    np.testing.assert_allclose(np.array(found["y.class"], float), [1, np.nan] * 2)
    np.testing.assert_allclose(np.array(found["y.largest"], float), [0.9, np.nan] * 2, rtol=1e-6)
    half = Tensor("y", "BF16", np.array([0x3F80, 0x4000], np.uint16))
    assert _measured(half, Side.PREDICTION) == {"y": [1, 2, 1, 2]}
    one, *_ = measure([[Tensor("y", "FP32", np.array([[1, 2]], np.float32))]], Side.PREDICTION, {}, batchable=True)
    assert one[0].of is Of.VALUES
