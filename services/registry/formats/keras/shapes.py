"""What goes into a Keras model and what comes out, as far as its configuration says.

Inputs are written down. Outputs are not: they are what the last layers make of what goes into them, which is told here
for the layers that models usually end with; for any other layer the type is told and no shape.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from services.registry.formats.facts import MAX_INT64, Tensor
from services.registry.formats.keras import config
from services.registry.formats.keras.config import Config
from services.registry.formats.texts import storable

_MAX_ENDS = 1000
_MAX_RANK = 64
Shape: TypeAlias = tuple[int, ...]

TYPES = {
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "bool": "BOOL",
    "string": "BYTES",
}
_SAME_SHAPE = frozenset(
    {
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "BatchNormalization",
        "Dropout",
        "ELU",
        "GaussianDropout",
        "GaussianNoise",
        "GroupNormalization",
        "LayerNormalization",
        "LeakyReLU",
        "Masking",
        "Normalization",
        "PReLU",
        "ReLU",
        "Rescaling",
        "Softmax",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "UnitNormalization",
    }
)
_RECURRENT = frozenset({"GRU", "LSTM", "SimpleRNN"})


class Ends(NamedTuple):
    """What goes in and what comes out."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


def ends(model: Config) -> Ends:
    """Those of a Functional model as it names them, or of a Sequential one; none for a model that is a Python class."""
    own = config.inner(model)
    if "input_layers" in own and "output_layers" in own:
        layers = {config.name(layer): layer for layer in config.layers(model)}
        return Ends(
            [_input(layers.get(of, {}), name) for name, of in _named(own["input_layers"])],
            [_output(layers.get(of, {}), name) for name, of in _named(own["output_layers"])],
        )
    return _sequential(config.layers(model)) if config.kind(model) == "Sequential" else Ends([], [])


def _named(listed: Any) -> list[tuple[str, str]]:
    """Name of the end and of the layer that it is, out of ``["dense", 0, 0]``, a list or a mapping of such."""
    if isinstance(listed, Mapping):
        found = [(str(key), each[0]) for key, each in listed.items() if isinstance(each, list) and each]
    elif isinstance(listed, list) and listed and isinstance(listed[0], str):
        found = [(listed[0], listed[0])]
    elif isinstance(listed, list):
        found = [(each[0], each[0]) for each in listed if isinstance(each, list) and each]
    else:
        found = []
    return [(storable(name), layer) for name, layer in found[:_MAX_ENDS] if isinstance(layer, str)]


def _input(layer: Config, name: str) -> Tensor:
    own = config.inner(layer)
    return Tensor(name, _datatype(layer), shape_of(own.get("batch_shape", own.get("batch_input_shape"))) or ())


def _output(layer: Config, name: str) -> Tensor:
    return Tensor(name, _datatype(layer), _after(layer, _into(layer)) or ())


def _sequential(layers: Sequence[Config]) -> Ends:
    if not layers:
        return Ends([], [])
    first, last = layers[0], layers[-1]
    entry = _input(first, config.name(first))
    shape = tuple(entry.shape) or _into(first)
    entry = entry._replace(shape=shape or ())
    for number, layer in enumerate(layers):
        if config.kind(layer) != "InputLayer":
            shape = _after(layer, (_into(layer) if number else None) or shape)
    return Ends([entry], [Tensor(config.name(last), _datatype(last), shape or ())])


def _into(layer: Config) -> Shape | None:
    """The shape of what goes into a layer: as it was built for, or as the layer before it says."""
    built = layer.get("build_config")
    known = shape_of(built.get("input_shape")) if isinstance(built, dict) else None
    if known is not None:
        return known
    nodes = layer.get("inbound_nodes")
    arguments = nodes[0].get("args") if isinstance(nodes, list) and nodes and isinstance(nodes[0], dict) else None
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    return shape_of(config.inner(first).get("shape")) if isinstance(first, dict) else None


def _after(layer: Config, into: Shape | None) -> Shape | None:
    """The shape of what a layer makes of ``into``; None where that is not known."""
    kind, own = config.kind(layer), config.inner(layer)
    if kind == "InputLayer":
        return shape_of(own.get("batch_shape", own.get("batch_input_shape")))
    if not into:
        return None
    if kind in _SAME_SHAPE:
        return into
    if kind == "Dense":
        return _known(*into[:-1], own.get("units"))
    if kind == "Embedding":
        return _known(*into, own.get("output_dim"))
    if kind in _RECURRENT and len(into) == 3:
        return _known(into[0], *(into[1:2] if own.get("return_sequences") else ()), own.get("units"))
    if kind == "Flatten":
        return (into[0], -1 if -1 in into[1:] else math.prod(into[1:]))
    if kind == "Reshape":
        target = own.get("target_shape")
        return shape_of([into[0], *target]) if isinstance(target, list) else None
    if kind.startswith("Global") and kind.endswith(("Pooling1D", "Pooling2D", "Pooling3D")) and not own.get("keepdims"):
        return (into[0], into[1 if own.get("data_format") == "channels_first" else -1])
    return None


def _known(*sizes: Any) -> Shape | None:
    return shape_of(list(sizes))


def shape_of(value: Any) -> Shape | None:
    """The shape out of ``[null, 4]``, -1 for what varies; None for anything else."""
    if not isinstance(value, list) or len(value) > _MAX_RANK:
        return None
    sizes = [-1 if size is None else size for size in value]
    if not all(type(size) is int and -1 <= size <= MAX_INT64 for size in sizes):
        return None
    return tuple(sizes)


def _datatype(layer: Config) -> str:
    """Of what the layer gives: its own type, or that of its policy: ``mixed_float16`` computes in float16."""
    given = config.inner(layer).get("dtype")
    if isinstance(given, dict):
        given = config.inner(given).get("name")
    return TYPES.get(given.removeprefix("mixed_"), "") if isinstance(given, str) else ""
