"""What files that lie beside each other say together: a directory of a SavedModel or of a Hugging Face model, the files
of a version, the members of an archive.

One file stands for all, by what it is; the others add what it lacks: weights, architecture, framework.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from services.registry.formats.facts import FileFacts, Format, Layer, Tensor
from services.registry.formats.safetensors.index import check_index

MAX_TEXTS = 1000
"""At most so many problems, pieces of code and globals of all files together are told."""

# What stands for all, first the formats that hold a whole model, then weights, then what only describes or encloses.
_ORDER = (
    Format.ONNX,
    Format.TENSORFLOW_SAVED_MODEL,
    Format.TORCH_EXPORT,
    Format.TORCHSCRIPT,
    Format.KERAS,
    Format.GGUF,
    Format.XGBOOST,
    Format.LIGHTGBM,
    Format.HUGGING_FACE,
    Format.SAFETENSORS,
    Format.PYTORCH,
    Format.PYTORCH_LEGACY,
    Format.HDF5,
    Format.TENSORFLOW_VARIABLES,
    Format.SAFETENSORS_INDEX,
    Format.HUGGING_FACE_CONFIG,
    Format.TAR,
    Format.ZIP,
    Format.PICKLE,
    Format.UNSPECIFIED,
)
_RANK = {format_: rank for rank, format_ in enumerate(_ORDER)}
_WEIGHTS = frozenset({Format.SAFETENSORS, Format.PYTORCH, Format.PYTORCH_LEGACY})
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?=\.|$)")
_TOKENIZER = re.compile(
    r"(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json|chat_template\.jinja"
    r"|(vocab|merges)\.txt|(tokenizer|spiece|sentencepiece(\.bpe)?|source|target)\.(model|spm)"
)


def main_path(files: Mapping[str, FileFacts]) -> str:
    """The file that stands for all, of which there is one at least: of several of its format the outermost."""
    return min(files, key=lambda path: (_RANK[files[path].format], len(PurePosixPath(path).parts), path))


def together(files: Mapping[str, FileFacts]) -> FileFacts:
    """What the files, of which there is one at least, say as one model. The format is that of the file that stands for
    all, or HUGGING_FACE for weights beside their configuration. Problems and code tell which file they are of; places
    of tensors are those within their own files, and no members are told."""
    main = main_path(files)
    config = _config_beside(files, main)
    speakers = [each for each in (config, files[main], *(files[path] for path in sorted(files))) if each is not None]
    named = next((each for each in speakers if each.framework), files[main])
    architecture = next((each.architecture for each in speakers if each.architecture), "")
    return dataclasses.replace(
        files[main],
        format=files[main].format if config is None else Format.HUGGING_FACE,
        tensors=_weights(files, main),
        properties={**(config.properties if config else {}), **files[main].properties, **_tokenizer(files, main)},
        external=(),
        framework=named.framework,
        framework_version=named.framework_version,
        architecture=architecture,
        layers=_layers(files, main),
        globals=[each for told in files.values() for each in told.globals][:MAX_TEXTS],
        code=_texts(files, lambda told: told.code),
        problems=_texts(files, lambda told: told.problems),
        members={},
        tensor_files={},
    )


def misfits(files: Mapping[str, FileFacts], sizes: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The path of each file that does not fit to the others, and what is wrong, as a sentence: it takes data from one
    that is not there or too short, or is an index that says of the others what they are not.

    Args:
        files: what they say, by path.
        sizes: how many bytes they have, by path.
    """
    for path, told in files.items():
        for external in told.external:
            wanted = _place(path, told.format, external.location)
            if str(wanted) not in sizes or external.end > sizes[str(wanted)]:
                yield path, f"{path[:255]} takes data from {str(wanted)[:255]}, which is not there or is too short."
        wrong = check_index(path, told, files)
        if wrong:
            yield path, wrong


def _place(path: str, format_: Format, location: str) -> PurePosixPath:
    """Where ``location`` is. The variables of TensorFlow say only how the name of another file ends: all have their own
    name up to the last dot."""
    if format_ is Format.TENSORFLOW_VARIABLES:
        own = PurePosixPath(path)
        return own.with_name(own.name.removesuffix(".index") + location)
    return PurePosixPath(path).parent / location


def _config_beside(files: Mapping[str, FileFacts], main: str) -> FileFacts | None:
    """The configuration of the Hugging Face model whose weights, or whose configuration alone, stand for all."""
    if files[main].format is Format.HUGGING_FACE_CONFIG:
        return files[main]
    folder = PurePosixPath(main).parent
    beside = files.get(str(folder / "config.json")) if files[main].format in _WEIGHTS else None
    return beside if beside is not None and beside.format is Format.HUGGING_FACE_CONFIG else None


def _weights(files: Mapping[str, FileFacts], main: str) -> Sequence[Tensor]:
    """All tensors of safetensors, which holds nothing else; or those of the file that stands for all, of its other
    shards, and of the variables that belong to it."""
    paths = sorted(path for path, told in files.items() if told.format is Format.SAFETENSORS)
    if not paths and files[main].format is Format.TENSORFLOW_SAVED_MODEL and not files[main].tensors:
        index = str(PurePosixPath(main).parent / "variables" / "variables.index")
        paths = [index] if index in files else []
    return [tensor for path in paths or _shards(files, main) for tensor in files[path].tensors]


def _shards(files: Mapping[str, FileFacts], main: str) -> Sequence[str]:
    if not _SHARD.search(main):
        return [main]
    common = _SHARD.sub("", main)
    return sorted(path for path in files if _SHARD.sub("", path) == common and files[path].format is files[main].format)


def _layers(files: Mapping[str, FileFacts], main: str) -> Sequence[Layer]:
    layers = files[main].layers
    if not layers and files[main].format is Format.TENSORFLOW_SAVED_MODEL:
        keras = files.get(str(PurePosixPath(main).parent / "keras_metadata.pb"))
        layers = keras.layers if keras is not None else ()
    return layers


def _tokenizer(files: Mapping[str, FileFacts], main: str) -> Mapping[str, str]:
    folder = PurePosixPath(main).parent
    names = [path.name for path in map(PurePosixPath, sorted(files)) if path.parent == folder]
    found = [name for name in names if _TOKENIZER.fullmatch(name)]
    return {"tokenizer_files": ", ".join(found)} if found else {}


def _texts(files: Mapping[str, FileFacts], of: Callable[[FileFacts], Sequence[str]]) -> Sequence[str]:
    found = [f"{path}: {text}" for path in sorted(files) for text in of(files[path])]
    return found if len(found) <= MAX_TEXTS else [*found[:MAX_TEXTS], f"and {len(found) - MAX_TEXTS} more"]
