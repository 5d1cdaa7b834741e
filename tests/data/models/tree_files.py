"""Models of XGBoost and LightGBM, as the libraries write them, and broken by hand."""

import functools
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import xgboost

_RNG = np.random.default_rng(7)
ROWS = _RNG.random((60, 4), np.float32)


def xgboost_model(rounds: int = 3, kind: str = "json", classes: int = 2, **parameters: Any) -> bytes:
    """A model of four features, trained on 60 rows."""
    labels = np.arange(len(ROWS)) % classes
    data = xgboost.DMatrix(ROWS, label=labels, feature_names=["a", "b", "c", "d e"], feature_types=["q", "q", "i", "q"])
    objective = {"objective": "binary:logistic"} if classes == 2 else {"num_class": classes}
    booster = xgboost.train({**objective, "max_depth": 2, "nthread": 1, "verbosity": 0, **parameters}, data, rounds)
    booster.set_attr(best="1")
    return bytes(booster.save_raw(kind))


def lightgbm_model(classes: int = 2, **parameters: Any) -> bytes:
    """A model of four features, trained on 60 rows."""
    labels = np.arange(len(ROWS)) % classes
    objective = {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    data = lightgbm.Dataset(ROWS, labels, feature_name=["a", "b", "c", "d"])
    settings = {**objective, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, **parameters}
    return lightgbm.train(settings, data, 3).model_to_string().encode()


def old_xgboost(objective: bytes = b"multi:softprob", booster: bytes = b"gbtree", magic: bytes = b"") -> bytes:
    """The head of the binary form that XGBoost wrote before 1.0, with seven trees; no release of today writes it."""
    parameters = struct.pack("<fIiiiIII", 0.5, 13, 3, 0, 0, 0, 0, 0).ljust(136, b"\0")
    names = b"".join(struct.pack("<Q", len(name)) + name for name in (objective, booster))
    return magic + parameters + names + struct.pack("<i", 7).ljust(160, b"\0") + bytes(100)


@functools.cache
def _json() -> bytes:
    return xgboost_model()


@functools.cache
def _ubjson() -> bytes:
    return xgboost_model(kind="ubj")


@functools.cache
def _text() -> bytes:
    return lightgbm_model()


def _changed(**learner: Any) -> bytes:
    document = json.loads(_json())
    document["learner"] = {**document["learner"], **learner}
    return json.dumps(document).encode()


REFUSED_XGBOOST: Mapping[str, Callable[[], bytes]] = {
    "cut in the head": lambda: _json()[:100],
    "cut in the head of UBJSON": lambda: _ubjson()[:100],
    "no comma": lambda: _json().replace(b'},"feature_names"', b'}"feature_names"', 1),
    "names that are no list": lambda: _changed(feature_names={"a": 1}),
    "attributes that are a list": lambda: _changed(attributes=["a"]),
    "name that is not UTF-8": lambda: _json().replace(b'"d e"', b'"\xff"'),
    "100,001 names": lambda: _changed(feature_names=["a"] * 100_001),
    "name of 1 MB": lambda: _changed(feature_names=["a" * 2**20]),
    "nested 10,000 deep": lambda: _changed(attributes={"a": 0}).replace(b'"a": 0', b'"a": ' + b"[" * 10_000, 1),
    "text of 2^62 bytes in UBJSON": lambda: _ubjson().replace(b"\0\0\0\0\0\0\0\x04best", b"\x40\0\0\0\0\0\0\x04best"),
    "negative count in UBJSON": lambda: _ubjson().replace(b"[#L\0\0\0\0\0\0\0\x04", b"[#L\xff\0\0\0\0\0\0\x04", 1),
    "unknown marker in UBJSON": lambda: _ubjson().replace(b"bestS", b"best?", 1),
    "nested 10,000 deep in UBJSON": lambda: _ubjson().replace(b"feature_names[", b"unknown_names" + b"[" * 10_000, 1),
    "tail that is cut": lambda: _json()[:-40],
}
"""What is refused, by what is wrong with it."""

REFUSED_LIGHTGBM: Mapping[str, Callable[[], bytes]] = {
    "cut in the head": lambda: _text()[:100],
    "no features": lambda: _text().replace(b"max_feature_idx", b"max_feature"),
    "negative features": lambda: _text().replace(b"max_feature_idx=3", b"max_feature_idx=-3"),
    "10^15 features": lambda: _text().replace(b"max_feature_idx=3", b"max_feature_idx=1000000000000000"),
    "other names than features": lambda: _text().replace(b"feature_names=a b c d", b"feature_names=a b c"),
    "number in other digits": lambda: _text().replace(b"num_class=1", "num_class=²".encode()),
    "not UTF-8": lambda: _text().replace(b"feature_names=a", b"feature_names=\xff"),
    "NUL": lambda: _text().replace(b"feature_names=a", b"feature_names=\0"),
    "head without an end": lambda: b"tree\nversion=v4\n" + b"a=b\n" * 10_000_000,
}
"""What is refused, by what is wrong with it."""
