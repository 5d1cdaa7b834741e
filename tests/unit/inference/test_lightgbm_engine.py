"""LightGBM behind the Engine interface."""

import re
from collections.abc import Mapping

import lightgbm
import numpy as np
import pytest

from services.inference.engines.engine import ModelRefused
from services.inference.engines.trees.lightgbm import LightGBMEngine
from services.inference.engines.trees.lightgbm_file import check_lightgbm
from services.inference.tensors.model import TensorSpec
from tests.data.models.tree_files import ROWS, lightgbm_model

_RNG = np.random.default_rng(11)
_CODES = np.column_stack([_RNG.integers(0, 40, 300), _RNG.integers(0, 5, 300), _RNG.random(300)]).astype(np.float64)
_LABELS = ((_CODES[:, 0] % 3 == 0) ^ (_CODES[:, 1] > 2)).astype(int)
PLAIN = lightgbm_model()


def load(content: bytes) -> LightGBMEngine:
    return LightGBMEngine.load(content, threads=1)


def trained(**parameters: object) -> bytes:
    """Decides by sets of categories, which are given by their codes."""
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, "min_data_per_group": 2}
    data = lightgbm.Dataset(_CODES, _LABELS, categorical_feature=[0, 1])
    return lightgbm.train({**settings, "cat_smooth": 1, **parameters}, data, 4).model_to_string().encode()


CATEGORICAL = trained()
LINEAR = lightgbm_model(linear_tree=True, objective="regression")


@pytest.mark.parametrize(
    ("content", "rows", "shape"),
    [
        (PLAIN, ROWS, (-1,)),
        (PLAIN.replace(b"\n", b"\r\n"), ROWS, (-1,)),
        (lightgbm_model(classes=3), ROWS, (-1, 3)),
        (lightgbm_model(classes=3, objective="multiclassova"), ROWS, (-1, 3)),
        (lightgbm_model(objective="regression"), ROWS, (-1,)),
        (lightgbm_model(objective="quantile", alpha=0.3), ROWS, (-1,)),
        (lightgbm_model(boosting="rf", bagging_freq=1, bagging_fraction=0.5), ROWS, (-1,)),
        (lightgbm_model(boosting="dart"), ROWS, (-1,)),
        (LINEAR, ROWS, (-1,)),
        (CATEGORICAL, _CODES, (-1,)),
        (trained(min_data_in_leaf=1000), _CODES, (-1,)),  # trees of one leaf
    ],
    ids=range(11),
)
def test_answers_are_those_of_the_library_itself(content: bytes, rows: np.ndarray, shape: tuple[int, ...]) -> None:
    """Bit by bit, values that are missing included."""
    rows = rows.astype(np.float64)
    rows[3, 1] = np.nan
    rows.flags.writeable = False
    booster = lightgbm.Booster(model_str=content.replace(b"\r\n", b"\n").decode())
    expected = np.asarray(booster.predict(rows))
    engine = load(content)

    (answer,) = engine.predict([rows])

    assert engine.signature.inputs == (TensorSpec("data", "FP64", (-1, rows.shape[1])),)
    assert engine.signature.outputs == (TensorSpec("prediction", "FP64", shape),)
    assert np.array_equal(answer, expected)
    assert np.array_equal(engine.predict([rows[:1]])[0], expected[:1]), "alone as in a batch"
    assert engine.predict([rows[:0]])[0].shape == expected[:0].shape


def line(content: bytes, key: str, word: int, value: str) -> bytes:
    """``content`` with another word in the first line of this key."""
    match = re.search(rf"^{key}=(.*)$", content.decode(), re.MULTILINE)
    assert match is not None
    words = match[1].split(" ")
    words[word] = value
    return content.replace(f"\n{match[0]}\n".encode(), f"\n{key}={' '.join(words)}\n".encode(), 1)


HARMFUL: Mapping[str, tuple[bytes, str]] = {
    "a child that is not there": (line(PLAIN, "left_child", 0, "99"), "child that is not there"),
    "a leaf that is not there": (line(PLAIN, "left_child", 0, "-99"), "leaf that is not there"),
    "a cycle": (line(PLAIN, "right_child", 0, "0"), "cycle"),
    "a feature that is not there": (line(PLAIN, "split_feature", 0, "4"), "feature that is not there; there are 4"),
    "a negative feature": (line(PLAIN, "split_feature", 0, "-1"), "feature that is not there"),
    "a kind of decision": (line(PLAIN, "decision_type", 0, "14"), "not known"),
    "categories of a tree without": (line(PLAIN, "decision_type", 0, "1"), "no categories and decides by them"),
    "categories that are not there": (line(CATEGORICAL, "cat_boundaries", -1, "99999"), "categories that are not"),
    "bounds that fall": (line(CATEGORICAL, "cat_boundaries", 1, "-5"), "categories that are not"),
    "a set that is not there": (line(CATEGORICAL, "threshold", 0, "1e9"), "decides by categories that are not"),
    "a leaf of other features": (line(LINEAR, "num_features", 0, "99"), "more features than there are"),
    "a linear feature that is not there": (
        re.sub(rb"\nleaf_features=( *)[0-9]", rb"\nleaf_features=\g<1>77", LINEAR),
        "a leaf uses a feature that is not there",
    ),
    "a billion leaves": (line(PLAIN, "num_leaves", 0, "900000000"), "num_leaves must be a number up to"),
    "more leaves than values": (line(PLAIN, "num_leaves", 0, "90"), "leaf_value must be 90 numbers"),
    "a billion features": (line(PLAIN, "max_feature_idx", 0, "999999999"), "max_feature_idx must"),
    "no classes": (line(PLAIN, "num_class", 0, "0"), "0 classes"),
    "a billion classes": (line(PLAIN, "num_class", 0, "999999999"), "num_class must"),
    "more outputs than classes": (line(PLAIN, "num_tree_per_iteration", 0, "2"), "trees in each round"),
    "an objective of other classes": (lightgbm_model(classes=3).replace(b"num_class:3", b"num_class:9"), "of others"),
    "an empty objective": (line(PLAIN, "objective", 0, "").replace(b"sigmoid:1", b""), "objective is no objective"),
    "an unknown objective": (line(PLAIN, "objective", 0, "os_system"), "cannot load"),
    "a tree that is missing": (PLAIN.replace(b"Tree=1", b"Tree=2"), "tree 1 is missing"),
    "a line twice": (PLAIN.replace(b"num_cat=0", b"num_cat=0\nnum_cat=0", 1), "comes twice"),
    "words for numbers": (line(PLAIN, "leaf_value", 0, "0x10"), "leaf_value must be"),
    "an unknown version": (PLAIN.replace(b"version=v4", b"version=v9"), "version must be"),
    "digits without end": (line(PLAIN, "split_feature", 0, "9" * 100_000 + "x"), "split_feature must be"),
    "no end": (PLAIN[: PLAIN.index(b"end of trees")], "does not end"),
    "NUL": (PLAIN.replace(b"Tree=0", b"Tree=0\0"), "does not begin"),
    "not UTF-8": (PLAIN.replace(b"feature_names=a", b"feature_names=\xff"), "not UTF-8"),
    "nothing": (b"", "does not begin"),
}


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_file_that_points_outside_of_itself_is_refused_before_the_library_reads_it(harm: str) -> None:
    """Several of these end the process when LightGBM gets them."""
    content, told = HARMFUL[harm]
    with pytest.raises(ModelRefused, match=re.escape(told)):
        load(content)


def test_a_file_that_is_cut_is_refused() -> None:
    for length in range(0, PLAIN.index(b"end of trees") + 10, 97):
        with pytest.raises(ModelRefused):
            load(PLAIN[:length])


def test_neither_sizes_nor_settings_of_the_file_reach_the_library() -> None:
    """It would jump by the one and obey the other."""
    content = line(PLAIN, "tree_sizes", 0, "99999999").replace(b"\nparameters:", b"\nparameters:\n[num_threads: 999]")
    assert b"tree_sizes" in content
    assert b"999" in content
    text = check_lightgbm(content).text
    assert "tree_sizes" not in text
    assert "parameters" not in text
    assert np.array_equal(load(content).predict([ROWS.astype(float)])[0], load(PLAIN).predict([ROWS.astype(float)])[0])
