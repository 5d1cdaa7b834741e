"""Reads the metadata of an XGBoost model in JSON or UBJSON (xgboost.readthedocs.io, "Introduction to Model IO").

    {"learner": {"attributes": {}, "feature_names": [], "feature_types": [],
                 "gradient_booster": {"model": {"gbtree_model_param": {}, ..., "trees": [...]}, "name": "gbtree"},
                 "learner_model_param": {}, "objective": {}}, "version": [3, 2, 0]}

XGBoost writes members in alphabetical order. So the head is read up to the trees, then the tail from
``learner_model_param`` on, and the trees between them never. Of a file without such a tail, what the head says is told.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from services.registry.formats.content import Content, PartOf
from services.registry.formats.facts import MAX_TENSORS, FileFacts, Format, InvalidModelFile, Tensor
from services.registry.formats.json_text import JsonReader, NotJson
from services.registry.formats.trees.ubjson import UbjsonReader

_HEAD_BYTES = 64 * 2**20
_TAIL_BYTES = 256 * 1024
_BEGINNING_BYTES = 256
_MAX_PROPERTIES = 200
_MAX_PROPERTY = 4096
_MAX_LISTED = 16 * 2**20  # characters of all names of features
_JSON_BEGINNING = re.compile(
    rb'\s*\{\s*("version"\s*:\s*\[[0-9,\s]*\]\s*,\s*)?"learner"\s*:\s*\{\s*'
    rb'"(attributes|feature_names|gradient_booster|learner_model_param)"\s*:'
)
_UBJSON_BEGINNING = b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0\0\0\0\0"
_TAIL = "learner_model_param"
_WEIGHTS = frozenset({"trees", "weights"})
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class _Values(Protocol):
    def members(self, *, entered: bool = False) -> Iterator[str]: ...
    def elements(self) -> Iterator[None]: ...
    def value(self) -> Any: ...


@dataclasses.dataclass(slots=True)
class _Model:
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    feature_names: list[str] = dataclasses.field(default_factory=list)
    feature_types: list[str] = dataclasses.field(default_factory=list)
    booster: str = ""
    booster_parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    objective: str = ""
    version: list[str] = dataclasses.field(default_factory=list)


def fits(content: Content) -> bool:
    """Whether it begins like a model of XGBoost."""
    return _reader(content) is not None


def read(content: Content) -> FileFacts:
    """Objective, booster, features, number of trees and classes, and the shapes of what goes in and comes out.

    Raises:
        InvalidModelFile: the head, or the tail, is broken.
    """
    reader = _reader(content)
    assert reader is not None
    model = _Model()
    try:
        if _stops_in_document(reader(content), model):
            tail_begin = _tail_begin(content)
            if tail_begin is not None:
                _read_tail(reader(PartOf(content, tail_begin, content.size - tail_begin)), model)
    except NotJson as error:
        raise InvalidModelFile(f"Not a valid XGBoost model: {error}.", format="xgboost") from error
    return _facts(model)


def _reader(content: Content) -> Callable[[Content], _Values] | None:
    beginning = bytes(content.read(0, min(content.size, _BEGINNING_BYTES)))
    if _JSON_BEGINNING.match(beginning):
        return lambda part: JsonReader(part, _HEAD_BYTES)
    return UbjsonReader if beginning.startswith(_UBJSON_BEGINNING) else None


def _tail_begin(content: Content) -> int | None:
    """Where the member that comes after the trees begins: the quote, or the length, before its name."""
    begin = max(0, content.size - _TAIL_BYTES)
    tail = bytes(content.read(begin, content.size - begin))
    for name in (f'"{_TAIL}"'.encode(), b"L" + len(_TAIL).to_bytes(8, "big") + _TAIL.encode()):
        at = tail.rfind(name)
        if at > 0 and tail[at - 1 : at] != b"\\":  # else a part of a text
            return begin + at
    return None


def _stops_in_document(values: _Values, model: _Model) -> bool:
    """Read the members, until trees or weights come; whether they did."""
    for name in values.members():
        if name == "learner" and _stops_in_learner(values, model):
            return True
        if name == "version":
            model.version = _texts(values)
    return False


def _read_tail(values: _Values, model: _Model) -> None:
    _stops_in_learner(values, model, entered=True)
    for name in values.members(entered=True):
        if name == "version":
            model.version = _texts(values)


def _stops_in_learner(values: _Values, model: _Model, *, entered: bool = False) -> bool:
    for name in values.members(entered=entered):
        match name:
            case "attributes":
                model.attributes = _pairs(values)
            case "feature_names":
                model.feature_names = _texts(values)
            case "feature_types":
                model.feature_types = _texts(values)
            case "learner_model_param":
                model.parameters = _pairs(values)
            case "objective":
                for inner in values.members():
                    if inner == "name":
                        model.objective = str(values.value())
            case "gradient_booster" if _stops_in_booster(values, model):
                return True
    return False


def _stops_in_booster(values: _Values, model: _Model) -> bool:
    for name in values.members():
        if name == "name":
            model.booster = str(values.value())
        elif name == "gbtree":  # the trees of DART are within
            model.booster = "dart"
            if _stops_in_booster(values, model):
                return True
        elif name == "model":
            for inner in values.members():
                if inner == "gbtree_model_param":
                    model.booster_parameters = _pairs(values)
                elif inner in _WEIGHTS:
                    model.booster = model.booster or ("gblinear" if inner == "weights" else "gbtree")
                    return True
    return False


def _pairs(values: _Values) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for name in values.members():
        text = str(values.value())
        if len(pairs) < _MAX_PROPERTIES and not _UNSTORABLE.search(name + text):
            pairs[name[:200]] = text[:_MAX_PROPERTY]
    return pairs


def _texts(values: _Values) -> list[str]:
    texts, left = [], _MAX_LISTED
    for _ in values.elements():
        texts.append(_UNSTORABLE.sub("", str(values.value())))
        left -= len(texts[-1])
        if len(texts) > MAX_TENSORS or left < 0:
            raise NotJson(f"a list of more than {MAX_TENSORS} texts, or of longer ones than are read, is there")
    return texts


def _facts(model: _Model) -> FileFacts:
    features, classes, targets = (_number(model.parameters, key) for key in ("num_feature", "num_class", "num_target"))
    told = {
        "objective": model.objective,
        "booster": model.booster,
        "trees": model.booster_parameters.get("num_trees", ""),
        "features": str(features or ""),
        "classes": str(classes or ""),
        "targets": str(targets or ""),
        "base_score": model.parameters.get("base_score", ""),
        "feature_names": ", ".join(model.feature_names),
        "feature_types": ", ".join(model.feature_types),
        **{f"attribute.{key}": text for key, text in model.attributes.items()},
    }
    return FileFacts(
        Format.XGBOOST,
        inputs=[Tensor("data", "FP32", (-1, features))] if features else (),
        outputs=[Tensor("prediction", "FP32", _output(model.objective, classes, targets))] if features else (),
        properties={key: text[:_MAX_PROPERTY] for key, text in told.items() if text},
        framework="xgboost",
        framework_version=".".join(model.version)[:64],
        architecture=model.booster[:64],
    )


def _output(objective: str, classes: int, targets: int) -> tuple[int, ...]:
    """The shape of what ``predict`` gives: a probability for each class, a number for each target, or one number."""
    if classes > 1 and objective != "multi:softmax":
        return -1, classes
    return (-1, targets) if targets > 1 else (-1,)


def _number(parameters: dict[str, str], key: str) -> int:
    text = parameters.get(key, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
