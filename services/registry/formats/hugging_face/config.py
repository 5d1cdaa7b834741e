"""Reads ``config.json`` and ``tokenizer_config.json`` as ``save_pretrained`` of transformers writes them.

Either can name Python code that comes with the model (``auto_map``) and that transformers executes when it is asked to
trust it; here it is only listed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.texts import storable

MAX_BYTES = 2**20
_MAX_FOUND = 100
_BEGINS = re.compile(rb'\s*\{\s*"')
# What a configuration says that other JSON does not, and of it what is told.
_OF_MODEL = frozenset({"model_type", "architectures"})
_OF_TOKENIZER = "tokenizer_class"
_MARKS = re.compile(rb'"(model_type|architectures|tokenizer_class)"\s*:')
_NUMBERS = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "vocab_size",
)


def fits(content: Content) -> bool:
    """Whether it is a JSON object that says which model, or which tokenizer, is to be built."""
    return _parsed(content) is not None


def read(content: Content) -> FileFacts:
    """Architecture, version and type, and the code that it names; of a tokenizer nothing but the code and its class."""
    said = _parsed(content) or {}
    code = list(dict.fromkeys(_code(said.get("auto_map"))))[:_MAX_FOUND]
    problems = [f"{each} would be imported from the model's own code" for each in code]
    if _OF_MODEL.isdisjoint(said):
        properties = {"tokenizer_class": storable(said.get(_OF_TOKENIZER))}
        return FileFacts(properties=properties, code=code, problems=problems)
    architectures = said.get("architectures")
    architecture = storable(architectures[0]) if isinstance(architectures, list) and architectures else ""
    return FileFacts(
        Format.HUGGING_FACE_CONFIG,
        properties=_properties(said),
        framework="transformers",
        framework_version=storable(said.get("transformers_version")),
        architecture=architecture,
        code=code,
        problems=problems,
    )


def _parsed(content: Content) -> Mapping[str, Any] | None:
    """The configuration; None for what is none."""
    if content.size > MAX_BYTES or _BEGINS.match(content.read(0, min(content.size, 64))) is None:
        return None
    text = bytes(content.read(0, content.size))
    if _MARKS.search(text) is None:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    is_model = isinstance(said.get("model_type"), str) or _are_texts(said.get("architectures"))
    return said if is_model or isinstance(said.get(_OF_TOKENIZER), str) else None


def _properties(said: Mapping[str, Any]) -> Mapping[str, str]:
    told = {
        "model_type": storable(said.get("model_type")),
        "dtype": storable(said.get("dtype", said.get("torch_dtype"))),
        **{key: str(said[key]) for key in _NUMBERS if type(said.get(key)) is int and abs(said[key]) < 2**63},
    }
    return {key: text for key, text in told.items() if text}


def _code(auto_map: Any) -> Iterator[str]:
    """The classes that it names: ``modeling_mine.MyModel``, ``somebody/repository--modeling.Model``."""
    if isinstance(auto_map, Mapping):
        for each in auto_map.values():
            yield from _code(each)
    elif isinstance(auto_map, list):
        yield from (storable(each) for each in auto_map if isinstance(each, str))
    elif isinstance(auto_map, str):
        yield storable(auto_map)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
