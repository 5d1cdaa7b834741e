"""Loads models of trees in which something was changed at random, and asks those that load: `python -m … 1 400`.

A program of its own, so that a test can tell whether it ended well.
"""

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from services.inference.engines.engine import EngineFailed, ModelRefused
from services.inference.engines.trees.lightgbm import LightGBMEngine
from services.inference.engines.trees.xgboost import XGBoostEngine
from services.inference.tensors.datatypes import NUMPY_TYPES
from tests.data.models.tree_files import lightgbm_model, xgboost_model

_NUMBERS = (-1, -2, 0, 1, 2, 7, 100, 2**31 - 1, -(2**31), 2**40, 0.5, float("nan"), "", "-1", "0", "99999999999", None)
_WORDS = (b"-1", b"0", b"1", b"99", b"-99", b"2147483647", b"-2147483648", b"99999999999", b"nan", b"", b"x", b"1e9")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something is in a document."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from _paths(part, (*path, key))


def change_json(content: bytes, source: random.Random) -> bytes:
    """Another value somewhere, or something less, or more."""
    document = json.loads(content)
    path = source.choice(list(_paths(document)))
    part = document
    for key in path[:-1]:
        part = part[key]
    match source.randrange(4):
        case 0:
            del part[path[-1]]
        case 1 if isinstance(part[path[-1]], list):
            part[path[-1]] = part[path[-1]] * 2
        case _:
            part[path[-1]] = source.choice(_NUMBERS)
    return json.dumps(document).encode()


def change_line(content: bytes, source: random.Random) -> bytes:
    """Another word in a line, or a word or a line less."""
    lines = content.split(b"\n")
    at = source.randrange(len(lines))
    key, equals, value = lines[at].partition(b"=")
    words = value.split(b" ")
    match source.randrange(6):
        case 0:
            del words[source.randrange(len(words))]
        case 1:
            lines[at] = b""
            return b"\n".join(lines)
        case _:
            words[source.randrange(len(words))] = source.choice(_WORDS)
    lines[at] = key + equals + b" ".join(words)
    return b"\n".join(lines)


def change_byte(content: bytes, source: random.Random) -> bytes:
    """Another byte or two."""
    changed = bytearray(content)
    for _ in range(source.choice((1, 1, 2))):
        changed[source.randrange(len(changed))] = source.choice((0, 1, 127, 255, source.randrange(256)))
    return bytes(changed)


def main(first: int, count: int) -> None:
    """Go through ``count`` changes; which they are depends on ``first`` alone."""
    kinds: list[tuple[Any, Any, bytes]] = [
        (XGBoostEngine, change_json, xgboost_model(2, classes=3)),
        (XGBoostEngine, change_json, xgboost_model(2, booster="dart", rate_drop=0.5)),
        (XGBoostEngine, change_byte, xgboost_model(2, "ubj")),
        (LightGBMEngine, change_line, lightgbm_model(classes=3)),
        (LightGBMEngine, change_line, lightgbm_model(linear_tree=True, objective="regression")),
    ]
    answered = 0
    for seed in range(first, first + count):
        engine_type, change, content = kinds[seed % len(kinds)]
        try:
            engine = engine_type.load(change(content, random.Random(seed)), threads=1)
            (spec,) = engine.signature.inputs
            rows = np.random.default_rng(seed).random((16, spec.shape[1])).astype(NUMPY_TYPES[spec.datatype])
            engine.predict([rows])
            answered += 1
        except (ModelRefused, EngineFailed):
            continue
    print(f"{answered} of {count} answered")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
