"""Estimators of scikit-learn as ONNX."""

from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import DBSCAN
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from headwater import estimators
from headwater.errors import InvalidArgument
from headwater.estimators import CannotConvert
from services.inference.engines.onnx import OnnxEngine
from services.inference.tensors.model import TensorSpec

X, Y = load_iris(return_X_y=True)
MEMORY = 4 * 2**30


def served(content: bytes, *inputs: Any) -> tuple[OnnxEngine, dict[str, Any]]:
    """The engine that serves it, and what that answers."""
    engine = OnnxEngine.load(content, threads=1, memory_bytes=MEMORY)
    outputs = engine.predict(list(inputs))
    return engine, {spec.name: array for spec, array in zip(engine.signature.outputs, outputs, strict=True)}


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=500),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        RandomForestClassifier(20, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_classifier_answers_as_a_served_model_as_it_did(estimator: Any) -> None:
    estimator.fit(X, Y)
    converted = estimators.to_onnx(estimator, X)
    engine, answer = served(converted.model, X.astype(np.float32))

    assert converted.rows == 150
    assert converted.largest_difference < 1e-5
    assert engine.signature.batchable
    assert engine.signature.inputs == (TensorSpec("input", "FP32", (-1, 4)),)
    assert np.array_equal(answer["label"], estimator.predict(X))
    np.testing.assert_allclose(answer["probabilities"], estimator.predict_proba(X), atol=1e-5)


def test_regressors_transformers_and_classifiers_without_probabilities_are_compared_too() -> None:
    regressor = GradientBoostingRegressor(n_estimators=10).fit(X, X[:, 0])
    answer = served(estimators.to_onnx(regressor, X).model, X.astype(np.float32))[1]
    np.testing.assert_allclose(answer["variable"][:, 0], regressor.predict(X), atol=1e-5)
    assert estimators.to_onnx(PCA(2).fit(X), X).largest_difference < 1e-4
    margins = SVC().fit(X, Y)
    answer = served(estimators.to_onnx(margins, X).model, X.astype(np.float32))[1]
    np.testing.assert_allclose(answer["probabilities"], margins.decision_function(X), atol=1e-4)


def test_a_data_frame_makes_an_input_for_each_column() -> None:
    frame = pd.DataFrame({"colour": ["red", "blue", "red", "green"] * 10, "size": np.arange(40.0), "count": range(40)})
    labels = np.array(["cheap", "dear"] * 20)
    steps = make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), ["size", "count"]))
    pipeline = make_pipeline(steps, LogisticRegression()).fit(frame, labels)

    converted = estimators.to_onnx(pipeline, frame)

    texts = np.array([[text.encode()] for text in frame["colour"]], np.object_)
    numbers = frame[["size"]].to_numpy(np.float32), frame[["count"]].to_numpy(np.int64)
    engine, answer = served(converted.model, texts, *numbers)
    assert [(spec.name, spec.datatype) for spec in engine.signature.inputs] == [
        ("colour", "BYTES"),
        ("size", "FP32"),
        ("count", "INT64"),
    ]
    assert [label.decode() for label in answer["label"]] == list(pipeline.predict(frame))
    np.testing.assert_allclose(answer["probabilities"], pipeline.predict_proba(frame), atol=1e-5)


class Halved(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator that skl2onnx has never heard of."""

    def fit(self, x: Any, y: Any) -> "Halved":
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, x: Any) -> Any:
        return x[:, 0] / 2


@pytest.mark.parametrize("estimator", [Halved(), DBSCAN()])
def test_what_has_no_onnx_is_refused_by_its_name(estimator: Any) -> None:
    estimator.fit(X, Y)
    with pytest.raises(CannotConvert, match=f"cannot convert {type(estimator).__name__}"):
        estimators.to_onnx(estimator, X)


def test_an_estimator_that_answers_otherwise_than_its_onnx_is_refused_with_the_place() -> None:
    estimator = LogisticRegression(max_iter=500).fit(X, Y)
    estimator.predict_proba = lambda rows: np.zeros((len(rows), 3))
    with pytest.raises(CannotConvert, match=r"probabilities\[0, 0\] is 0\.9.* and not 0\.0"):
        estimators.to_onnx(estimator, X)


def test_values_that_float32_cannot_tell_apart_need_fp64() -> None:
    rows = np.array([[2.0**24], [2.0**24 + 1]] * 20)
    line = LinearRegression().fit(rows, [0.0, 1.0] * 20)
    with pytest.raises(CannotConvert, match="datatype='FP64'"):
        estimators.to_onnx(line, rows)
    converted = estimators.to_onnx(line, rows, datatype="FP64")
    np.testing.assert_allclose(served(converted.model, rows)[1]["variable"][:, 0], [0.0, 1.0] * 20, atol=1e-6)


@pytest.mark.parametrize("sample", [np.zeros((0, 4)), np.array([["a"]]), np.zeros(3), pd.DataFrame({"a": [object()]})])
def test_a_sample_that_says_nothing_is_refused(sample: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"sample|Column"):
        estimators.to_onnx(PCA(2).fit(X), sample)
