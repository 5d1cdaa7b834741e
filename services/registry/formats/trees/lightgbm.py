"""Reads the metadata of a LightGBM model: text with a head, the trees one after the other, and parameters at its end.

Head and tail are read, and the trees between them not.
"""

import re
from collections.abc import Mapping

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format, InvalidModelFile, Tensor

_BEGINNING = re.compile(rb"tree\r?\nversion=v[0-9]{1,3}\r?\n")
_BEGINNING_BYTES = 64
_HEAD_STEP_BYTES = 64 * 1024
_HEAD_BYTES = 32 * 2**20
_TAIL_BYTES = 256 * 1024
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_PARAMETERS = re.compile(r"\nparameters:\n(.*?)\nend of parameters\n", re.DOTALL)
_PARAMETER = re.compile(r"\[([a-z_0-9]{1,64}): (.+)\]")
_MAX_PARAMETERS = 200
_MAX_PROPERTY = 4096
_MAX_COUNT = 10_000_000


def fits(content: Content) -> bool:
    """Whether it begins like a model of LightGBM."""
    return _BEGINNING.match(content.read(0, min(content.size, _BEGINNING_BYTES))) is not None


def read(content: Content) -> FileFacts:
    """Objective, features, number of trees and classes, what it was trained with, and what goes in and comes out.

    Raises:
        InvalidModelFile: the head is broken.
    """
    lines = _head(content)
    features = _number(lines, "max_feature_idx") + 1
    classes = _number(lines, "num_class")
    names = lines.get("feature_names", "").split(" ") if lines.get("feature_names") else []
    if len(names) not in (0, features):
        raise _invalid(f"it has {features} features and {len(names)} names for them")
    parameters = _parameters(content)
    told = {
        "objective": lines.get("objective", ""),
        "booster": parameters.get("boosting", ""),
        "trees": str(len(lines.get("tree_sizes", "").split())),
        "features": str(features),
        "classes": str(classes),
        "feature_names": ", ".join(names),
        "model_version": lines.get("version", ""),
        **{f"parameter.{key}": text for key, text in parameters.items()},
    }
    return FileFacts(
        Format.LIGHTGBM,
        inputs=[Tensor("data", "FP64", (-1, features))],
        outputs=[Tensor("prediction", "FP64", (-1, classes) if classes > 1 else (-1,))],
        properties={key: text[:_MAX_PROPERTY] for key, text in told.items() if text},
        framework="lightgbm",
        architecture=parameters.get("boosting", ""),
    )


def _head(content: Content) -> Mapping[str, str]:
    """The lines before the first tree: key and value."""
    head, position = bytearray(), 0
    while (end := _HEAD_END.search(head, max(0, position - _HEAD_STEP_BYTES - 4))) is None:
        if position == content.size or position > _HEAD_BYTES:
            raise _invalid("its head does not end")
        step = min(_HEAD_STEP_BYTES, content.size - position)
        head += content.read(position, step)
        position += step
    try:
        text = head[: end.start()].decode()
    except UnicodeDecodeError as error:
        raise _invalid("its head is not UTF-8") from error
    if "\0" in text:
        raise _invalid("its head contains NUL")
    pairs = (line.partition("=") for line in text.replace("\r\n", "\n").split("\n")[1:_MAX_PARAMETERS])
    return {key: value for key, _, value in pairs}


def _parameters(content: Content) -> Mapping[str, str]:
    """What it was trained with, if that is told; settings that are empty are left out."""
    begin = max(0, content.size - _TAIL_BYTES)
    tail = str(content.read(begin, content.size - begin), "utf-8", "replace").replace("\r\n", "\n")
    section = _PARAMETERS.search(tail)
    lines = section[1].replace("\0", "").split("\n")[:_MAX_PARAMETERS] if section else []
    return {match[1]: match[2] for match in map(_PARAMETER.fullmatch, lines) if match is not None}


def _number(lines: Mapping[str, str], key: str) -> int:
    text = lines.get(key, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > _MAX_COUNT:
        raise _invalid(f"{key} is missing or no number of things")
    return int(text)


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid LightGBM model: {what}.", format="lightgbm")
