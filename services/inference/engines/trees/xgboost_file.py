"""Reads an XGBoost model in JSON or UBJSON (xgboost.readthedocs.io, "Introduction to Model IO") before XGBoost does.

Everything that XGBoost would use to find memory is checked: children, features, categories, the class that a tree adds
to, and how many of each there are.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from services.inference.engines.engine import ModelRefused
from services.inference.engines.trees.ubjson import NotUbjson, read_ubjson
from services.inference.engines.trees.xgboost_trees import MAX_OUTPUTS, check_trees, count

MAX_JSON_BYTES = 256 * 2**20
MAX_FEATURES = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class XGBoostFacts:
    """What must be known to call the model. ``outputs`` is how many numbers it adds up for each row."""

    booster: str
    objective: str
    features: int
    outputs: int


def check_xgboost(model: bytes) -> XGBoostFacts:
    """What ``model`` is, if it is an XGBoost model that may be served.

    Raises:
        ModelRefused: saying what is wrong with it.
    """
    document = _parse(model)
    try:
        return _check(document["learner"])
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise ModelRefused("The file is not a model of XGBoost as XGBoost writes it.") from error


def _parse(model: bytes) -> Any:
    if model[:2] in (b"{L", b"{i", b"{U", b"{l", b"{#", b"{I"):
        try:
            return read_ubjson(model)
        except NotUbjson as error:
            raise ModelRefused(f"The file is not a model of XGBoost: {error}.") from error
    if len(model) > MAX_JSON_BYTES:
        raise ModelRefused(f"JSON of more than {MAX_JSON_BYTES} bytes is not read; save the model as .ubj instead.")
    try:
        return json.loads(model, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"The file is not a model of XGBoost: it is neither JSON nor UBJSON ({error}).") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


def _check(learner: Mapping[str, Any]) -> XGBoostFacts:
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    features = count(parameters, "num_feature", 1, MAX_FEATURES)
    classes = count(parameters, "num_class", 0, MAX_OUTPUTS)
    outputs = max(classes, count(parameters, "num_target", 0, MAX_OUTPUTS, "1"), 1)
    for names in ("feature_names", "feature_types"):
        if len(learner.get(names, ())) not in (0, features):
            raise ModelRefused(f"The file has {features} features and {len(learner[names])} {names}.")
    if str(parameters["base_score"]).count(",") + 1 not in (1, outputs):
        raise ModelRefused(f"The file has another number of base scores than of outputs, {outputs}.")
    objective = learner["objective"]
    softmax = objective.get("softmax_multiclass_param", {"num_class": classes})
    if int(softmax["num_class"]) != classes:
        raise ModelRefused(f"The file has {classes} classes and an objective of {softmax['num_class']}.")
    name = str(booster["name"])
    _check_booster(name, booster, features, outputs)
    return XGBoostFacts(name, str(objective["name"]), features, outputs)


def _check_booster(name: str, booster: Mapping[str, Any], features: int, outputs: int) -> None:
    if name == "gblinear":
        if len(booster["model"]["weights"]) != (features + 1) * outputs:
            raise ModelRefused(f"The file has another number of weights than features, {features}, need.")
        return
    if name == "dart":
        trees = check_trees(booster["gbtree"]["model"], features, outputs)
        if len(booster["weight_drop"]) != trees:
            raise ModelRefused("The file has another number of weights than of trees.")
    elif name == "gbtree":
        check_trees(booster["model"], features, outputs)
    else:
        raise ModelRefused("The booster must be gbtree, dart or gblinear.")
