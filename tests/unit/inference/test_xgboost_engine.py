"""XGBoost behind the Engine interface."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.engines.engine import EngineFailed, ModelRefused
from services.inference.engines.trees.ubjson import NotUbjson, read_ubjson
from services.inference.engines.trees.xgboost import XGBoostEngine
from services.inference.tensors.model import TensorSpec
from tests.data.models.tree_files import ROWS, xgboost_model

_RNG = np.random.default_rng(11)
_CODES = np.column_stack([_RNG.integers(0, 40, 200), _RNG.integers(0, 5, 200), _RNG.random(200)]).astype(np.float32)
_LABELS = (_CODES[:, 0] % 3 == 0) ^ (_CODES[:, 1] > 2)
PLAIN, CLASSES = xgboost_model(2), xgboost_model(2, classes=3)


def load(content: bytes) -> XGBoostEngine:
    return XGBoostEngine.load(content, threads=1)


def categorical() -> bytes:
    """Decides by sets of categories, which are given by their codes."""
    data = xgboost.DMatrix(_CODES, label=_LABELS, feature_types=["c", "c", "q"], enable_categorical=True)
    parameters = {"objective": "binary:logistic", "max_cat_to_onehot": 1, "max_depth": 4, "nthread": 1}
    return bytes(xgboost.train(parameters, data, 4).save_raw("json"))


def trained(labels: Any = _LABELS, **parameters: Any) -> bytes:
    data = xgboost.DMatrix(_CODES, label=labels)
    return bytes(xgboost.train({"max_depth": 5, "nthread": 1, **parameters}, data, 6).save_raw("ubj"))


def pruned() -> bytes:
    """Has nodes that were deleted."""
    data = xgboost.DMatrix(_CODES, label=_LABELS)
    update = {"process_type": "update", "updater": "prune", "gamma": 0.5, "nthread": 1}
    booster = xgboost.train({"max_depth": 6, "nthread": 1}, data, 5)
    return bytes(xgboost.train(update, data, 5, xgb_model=booster).save_raw("json"))


@pytest.mark.parametrize(
    ("content", "rows", "shape"),
    [
        (PLAIN, ROWS, (-1,)),
        (xgboost_model(2, "ubj"), ROWS, (-1,)),
        (CLASSES, ROWS, (-1,)),
        (xgboost_model(2, "ubj", classes=3, objective="multi:softprob"), ROWS, (-1, 3)),
        (xgboost_model(objective="binary:logitraw"), ROWS, (-1,)),
        (xgboost_model(objective="binary:hinge"), ROWS, (-1,)),
        (xgboost_model(objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]), ROWS, (-1, 3)),
        (xgboost_model(objective="survival:cox"), ROWS, (-1,)),
        (xgboost_model(booster="gblinear"), ROWS, (-1,)),
        (xgboost_model(booster="dart", rate_drop=0.5), ROWS, (-1,)),
        (xgboost_model(num_parallel_tree=3), ROWS, (-1,)),
        (trained(grow_policy="lossguide", max_leaves=13), _CODES, (-1,)),
        (trained(np.column_stack([_LABELS, ~_LABELS, _LABELS])), _CODES, (-1, 3)),
        (pruned(), _CODES, (-1,)),
        (categorical(), _CODES, (-1,)),
    ],
    ids=range(15),
)
def test_answers_are_those_of_the_library_itself(content: bytes, rows: np.ndarray, shape: tuple[int, ...]) -> None:
    """Bit by bit, values that are missing included."""
    rows = rows.copy()
    rows[3, 1] = np.nan
    rows.flags.writeable = False
    booster = xgboost.Booster(model_file=bytearray(content))
    kinds = {"feature_types": booster.feature_types, "enable_categorical": True} if booster.feature_types else {}
    expected = booster.predict(xgboost.DMatrix(rows, **kinds), validate_features=False)
    engine = load(content)

    (answer,) = engine.predict([rows])

    assert engine.signature.inputs == (TensorSpec("data", "FP32", (-1, rows.shape[1])),)
    assert engine.signature.outputs == (TensorSpec("prediction", "FP32", shape),)
    assert answer.dtype == np.float32
    assert np.array_equal(answer, expected)
    assert np.array_equal(engine.predict([rows[:1]])[0], expected[:1]), "alone as in a batch"
    assert engine.predict([rows[:0]])[0].shape == expected[:0].shape


def test_a_row_that_the_library_cannot_compute_is_an_error_without_our_inside() -> None:
    engine = load(xgboost_model(booster="gblinear"))
    with pytest.raises(EngineFailed) as failed:
        engine.predict([np.full((1, 4), np.inf, np.float32)])
    assert failed.value.message == "The model failed on this input."


def tree(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Puts ``value`` at ``index`` of a member of the first tree."""

    def change(document: dict[str, Any]) -> None:
        first = document["learner"]["gradient_booster"]["model"]["trees"][0]
        for name, (index, value) in changes.items():
            first[name][index] = value

    return change


def learner(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    """Puts ``to`` at a path below the learner."""

    def change(document: dict[str, Any]) -> None:
        part = document["learner"]
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = to

    return change


_MODEL = ("gradient_booster", "model")
HARMFUL: Mapping[str, tuple[bytes, Callable[[dict[str, Any]], None], str]] = {
    "a child that is not there": (PLAIN, tree(left_children=(0, 7)), "child that is not there"),
    "a child of a negative number": (PLAIN, tree(left_children=(3, -4)), "negative number"),
    "a cycle": (PLAIN, tree(left_children=(1, 0), right_children=(1, 1)), "cycle"),
    "one child": (PLAIN, tree(right_children=(0, -1)), "one child"),
    "children apart": (PLAIN, tree(left_children=(0, 2), right_children=(0, 1)), "not beside each other"),
    "another parent": (PLAIN, tree(parents=(1, 1)), "another parent"),
    "a feature that is not there": (PLAIN, tree(split_indices=(0, 4)), "feature that is not there; there are 4"),
    "a negative feature": (PLAIN, tree(split_indices=(0, -1)), "feature that is not there"),
    "a class that is not there": (CLASSES, learner(*_MODEL, "tree_info", to=[0, 1, 2, 0, 1, 3]), "output that is not"),
    "fewer nodes than told": (PLAIN, learner(*_MODEL, "trees", to=[]), "0 trees and says otherwise"),
    "a billion features": (PLAIN, learner("learner_model_param", "num_feature", to="1000000000"), "num_feature must"),
    "no features": (PLAIN, learner("learner_model_param", "num_feature", to="0"), "num_feature must"),
    "a billion classes": (CLASSES, learner("learner_model_param", "num_class", to="1000000000"), "num_class must"),
    "an objective of no classes": (
        CLASSES,
        learner("objective", "softmax_multiclass_param", "num_class", to="0"),
        "3 classes and an objective of 0",
    ),
    "base scores of others": (PLAIN, learner("learner_model_param", "base_score", to="[1,2,3]"), "base scores"),
    "rounds that are not there": (PLAIN, learner(*_MODEL, "iteration_indptr", to=[0, 9]), "rounds wrongly"),
    "a part of a feature": (PLAIN, tree(split_indices=(0, 0.5)), "not whole"),
    "an unknown booster": (PLAIN, learner("gradient_booster", "name", to="gbcode"), "booster must be"),
    "a list for a text": (PLAIN, learner("gradient_booster", to=[]), "as XGBoost writes it"),
    "too few weights": (xgboost_model(booster="gblinear"), learner(*_MODEL, "weights", to=[1.0]), "number of weights"),
    "categories that are not there": (categorical(), tree(categories_segments=(0, 10**6)), "categories that are not"),
    "a huge category": (categorical(), tree(categories=(0, 2**30)), "not between 0 and"),
    "a negative category": (categorical(), tree(categories=(0, -1)), "not between 0 and"),
    "an unknown objective": (PLAIN, learner("objective", "name", to="os:system"), "cannot load the file: "),
    "a list of names": (
        PLAIN,
        learner("attributes", to=[]),
        "cannot load the file: Invalid cast, from Array to Object.",
    ),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_file_that_points_outside_of_itself_is_refused_before_the_library_reads_it(harm: str) -> None:
    """Several of these end the process when XGBoost gets them."""
    content, change, told = HARMFUL[harm]
    document = json.loads(content)
    change(document)
    with pytest.raises(ModelRefused, match=re.escape(told)):
        load(json.dumps(document).encode())


@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_a_file_that_is_cut_is_refused(kind: str) -> None:
    content = xgboost_model(1, kind)
    for length in (0, 1, 2, 50, len(content) // 2, len(content) - 1):
        with pytest.raises(ModelRefused):
            load(content[:length])


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'{"learner": {}, "learner": {}}', b"\x80\x04K\x01.", b"null", b"{L" + b"\xff" * 100, b"{}"],
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelRefused):
        load(content)


def test_categories_of_a_data_frame_are_refused_because_their_texts_do_not_travel() -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 20), "size": np.arange(40.0)})
    data = xgboost.DMatrix(frame, label=[0, 1] * 20, enable_categorical=True)
    with pytest.raises(ModelRefused, match="train it on their codes"):
        load(bytes(xgboost.train({"nthread": 1}, data, 2).save_raw("ubj")))


def test_several_outputs_in_a_leaf_are_refused_by_name() -> None:
    with pytest.raises(ModelRefused, match="multi_output_tree"):
        load(trained(np.column_stack([_LABELS, ~_LABELS]), multi_strategy="multi_output_tree"))


def test_a_chain_of_a_million_nodes_is_refused() -> None:
    """XGBoost would walk it by recursion."""
    inner = np.arange(10_000)
    size = 2 * len(inner) + 1
    left, right = np.full(size, -1), np.full(size, -1)
    left[[0, *(2 * inner[:-1] + 1)]], right[[0, *(2 * inner[:-1] + 1)]] = 2 * inner + 1, 2 * inner + 2
    document = json.loads(PLAIN)
    model = document["learner"]["gradient_booster"]["model"]
    model["trees"] = model["trees"][:1]
    model["tree_info"], model["iteration_indptr"] = [0], [0, 1]
    model["gbtree_model_param"]["num_trees"] = "1"
    first = model["trees"][0]
    for name, value in first.items():
        if isinstance(value, list) and len(value) == 7:
            first[name] = [0] * size
    first["left_children"], first["right_children"] = left.tolist(), right.tolist()
    first["tree_param"]["num_nodes"] = str(size)
    with pytest.raises(ModelRefused, match="deeper than 4096"):
        load(json.dumps(document).encode())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_ubjson_or_refused(content: bytes) -> None:
    for begin in (b"", b"{", b"[", b"[$d#", b"[#L"):
        try:
            read_ubjson(begin + content)
        except NotUbjson:
            continue


def test_ubjson_claims_of_more_than_there_is_are_refused_before_anything_is_allocated() -> None:
    for content in (b"[$d#L\x7f" + b"\xff" * 7, b"[#L\x7f" + b"\xff" * 7, b"[$Z#L\0\0\0\1\0\0\0\0", b"SL\xff" * 9):
        with pytest.raises(NotUbjson):
            read_ubjson(content)
