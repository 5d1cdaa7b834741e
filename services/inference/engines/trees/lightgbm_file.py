"""Reads a model of LightGBM, text, before LightGBM does, and gives the part of it that LightGBM needs to predict.

The text is taken apart and put together again out of what was understood: LightGBM finds trees by the sizes that the
head tells and applies settings from the end of the file, and neither is passed on.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np

from services.inference.engines.trees.forest import check_forest
from services.inference.engines.trees.lightgbm_lines import count, lines_of, wrong
from services.inference.engines.trees.lightgbm_tree import Tree, check_tree

MAX_FEATURES = 1_000_000
MAX_OUTPUTS = 100_000
_HEAD = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "monotone_constraints",
    "feature_infos",
)
_VERSIONS = ("v2", "v3", "v4")
_OBJECTIVE = re.compile(r"[a-z_0-9]{1,64}( [a-z_0-9]{1,64}(:[-+.0-9e]{1,32})?)*")
_END = "end of trees"


@dataclasses.dataclass(frozen=True, slots=True)
class LightGBMFacts:
    """What must be known to call the model, and the text that LightGBM is given."""

    objective: str
    features: int
    outputs: int
    text: str


def check_lightgbm(model: bytes) -> LightGBMFacts:
    """What ``model`` is, if it is a model of LightGBM that may be served.

    Raises:
        ModelRefused: saying what is wrong with it.
    """
    try:
        text = model.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise wrong("it is not UTF-8") from error
    if "\0" in text or not text.startswith("tree\n"):
        raise wrong("it does not begin with the line tree")
    trees, end, _ = text.partition(f"\n{_END}\n")
    if not end:
        raise wrong("it does not end")
    head_text, *tree_texts = trees.split("\nTree=")
    head = {key: value for key, value in lines_of(head_text.partition("\n")[2]).items() if key in _HEAD}
    features, classes, outputs = _check_head(head)
    found = [check_tree(number, tree, features) for number, tree in enumerate(tree_texts)]
    if len(found) % outputs:
        raise wrong(f"{len(found)} trees cannot be shared out to {outputs} outputs")
    _check_ends(found)
    written = ["tree", *_written(head), ""]
    for number, tree in enumerate(found):
        written += [f"Tree={number}", *_written(tree.lines), "", ""]
    return LightGBMFacts(head.get("objective", ""), features, classes, "\n".join([*written, _END, ""]))


def _written(lines: Mapping[str, str]) -> list[str]:
    return [key if key == "average_output" else f"{key}={value}" for key, value in lines.items()]


def _check_head(head: Mapping[str, str]) -> tuple[int, int, int]:
    """Features, classes, and the outputs that trees add to."""
    if head.get("version") not in _VERSIONS:
        raise wrong(f"its version must be one of {', '.join(_VERSIONS)}")
    features = count(head, "max_feature_idx", MAX_FEATURES - 1) + 1
    classes = count(head, "num_class", MAX_OUTPUTS)
    outputs = count(head, "num_tree_per_iteration", MAX_OUTPUTS)
    if classes < 1 or outputs not in (1, classes):
        raise wrong(f"{classes} classes do not go with {outputs} trees in each round")
    count(head, "label_index", 2**30)
    for names in ("feature_names", "feature_infos"):
        if len(head.get(names, "").split(" ")) != features:
            raise wrong(f"it must tell {features} {names}")
    objective = head.get("objective", "")
    if "objective" in head and not _OBJECTIVE.fullmatch(objective):  # a model of one's own objective names none
        raise wrong("its objective is no objective")
    told = re.search(r" num_class:([0-9]{1,9})(?: |$)", objective)
    if objective.startswith("multiclass") and (told is None or int(told[1]) != classes):
        raise wrong(f"it has {classes} classes and an objective of others")
    if objective.startswith("multiclass") and outputs != classes:
        raise wrong(f"{classes} classes do not go with {outputs} trees in each round")
    return features, classes, outputs


def _check_ends(trees: Sequence[Tree]) -> None:
    sizes = np.array([len(tree.left) for tree in trees], np.int64)
    if sizes.sum():
        check_forest(sizes, *(np.concatenate([getattr(tree, side) for tree in trees]) for side in ("left", "right")))
