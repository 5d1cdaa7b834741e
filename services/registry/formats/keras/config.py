"""Reads the configuration of a Keras model: which layers there are, and what Keras would execute to build them.

Each object is a mapping with ``class_name`` and ``config``. Keras imports the ``module`` that is named, and what a
lambda carries is the bytecode of a Python function (keras/src/saving/serialization_lib.py); here all is only listed.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from services.registry.formats.facts import Layer
from services.registry.formats.texts import storable

Config: TypeAlias = Mapping[str, Any]

MAX_BYTES = 16 * 2**20
_MAX_LAYERS = 100_000
_MAX_FOUND = 1000
_MAX_PATH = 512
_MAX_DEPTH = 64  # of models within models
_KERAS = re.compile(r"(keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras)(\.|$)")
# Where the functions are that a model may name. Others of Keras's fetch files, or load further models.
_OF_FUNCTIONS = re.compile(
    r"(keras|tf_keras)\.(src\.)?(activations|constraints|initializers|losses|metrics|ops|regularizers)(\.|$)"
)


class BadConfig(ValueError):
    """The text is no configuration that is read."""


@dataclasses.dataclass(slots=True)
class Findings:
    """What a configuration says: layers in their order, foreign code, and what makes it unsafe to build the model."""

    layers: list[Layer] = dataclasses.field(default_factory=list)
    code: dict[str, None] = dataclasses.field(default_factory=dict)  # in order, each once
    problems: dict[str, None] = dataclasses.field(default_factory=dict)

    def note(self, code: str, problem: str = "") -> None:
        """Note foreign code, and why it is unsafe. Each has a limit of its own, so that neither hides the other."""
        if len(self.code) < _MAX_FOUND:
            self.code[code] = None
        if problem and len(self.problems) < _MAX_FOUND:
            self.problems[problem] = None


def parse(text: bytes) -> Config:
    """The configuration of one object out of JSON.

    Raises:
        BadConfig: it is too long, no JSON, or nests too deep.
    """
    if len(text) > MAX_BYTES:
        raise BadConfig(f"a configuration has {len(text)} bytes, more than {MAX_BYTES}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadConfig("a configuration is not JSON, or nests too deep") from error
    if not isinstance(value, dict):
        raise BadConfig("a configuration is no object")
    return value


def kind(value: Config) -> str:
    """The class of the object; empty where none is named."""
    return storable(value.get("class_name"))


def inner(value: Config) -> Config:
    """The object's own configuration."""
    own = value.get("config")
    return own if isinstance(own, dict) else {}


def name(value: Config) -> str:
    """The object's name."""
    return storable(inner(value).get("name", value.get("name")))


def layers(value: Config) -> list[Config]:
    """The layers of a model, in their order; none for anything else. The oldest Sequential has a bare list of them."""
    own = value.get("config")
    held = own.get("layers") if isinstance(own, dict) else own
    return [layer for layer in held if isinstance(layer, dict)] if isinstance(held, list) else []


def examine(value: Config) -> Findings:
    """What the configuration of a model, and all that is within it, says.

    Raises:
        BadConfig: there are too many layers.
    """
    findings = Findings()
    for path, layer in _all_layers(value, "", 0):
        findings.layers.append(Layer(path, kind(layer)))
        if len(findings.layers) > _MAX_LAYERS:
            raise BadConfig(f"a model has more than {_MAX_LAYERS} layers")
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                _judge(part, findings)
            waiting.extend(reversed(list(part.values())))
        elif isinstance(part, list):
            waiting.extend(reversed(part))
    return findings


def _all_layers(model: Config, prefix: str, depth: int) -> Iterator[tuple[str, Config]]:
    """The layers, and those of models that are layers themselves, by path."""
    if depth > _MAX_DEPTH:
        raise BadConfig(f"models within models nest deeper than {_MAX_DEPTH}")
    for layer in layers(model):
        path = f"{prefix}{name(layer)}"[:_MAX_PATH]
        yield path, layer
        yield from _all_layers(layer, f"{path}/", depth + 1)


def _judge(value: Config, findings: Findings) -> None:
    """Note what Keras would execute to make this one object."""
    kind_, module, registered = kind(value), storable(value.get("module")), storable(value.get("registered_name"))
    if kind_ == "Lambda":
        layer = f"Lambda layer {json.dumps(name(value), ensure_ascii=False)}"
        findings.note(layer, f"{layer} carries Python code")
    elif kind_ == "__lambda__":
        findings.note("lambda", "a lambda carries Python code")
    elif kind_ == "function":
        _judge_function(module, storable(value.get("config")), findings)
    elif module and not _KERAS.match(module) and module != "builtins":
        findings.note(f"{module}.{kind_}", f"{module}.{kind_} is no part of Keras and would be imported")
    elif ">" in kind_ or ">" in registered:
        findings.note(f"custom object {registered or kind_}")


def _judge_function(module: str, function: str, findings: Findings) -> None:
    if module in ("", "builtins"):
        findings.note(f"function {function}")
    elif not _OF_FUNCTIONS.match(module):
        findings.note(f"{module}.{function}", f"{module}.{function} would be imported, and may be called")
