"""Files of a version as pages show them: one row each, with what is in archives below them, and what they hold."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from headwater.artifact.v1 import artifact_pb2

FILES: Final = 200
"""Shown of a version, those within archives counted."""
_NAMED: Final = 40
"""Operators, kinds of layers, imports, properties, pieces of code shown of one file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Some:
    """The first of many things, by name, with what is said of each."""

    title: str
    shown: Sequence[tuple[str, str]]
    more: int
    """That are not shown."""


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """One file; of a file within an archive the path says which: ``archive.tar/model.safetensors``."""

    path: str
    file: artifact_pb2.ModelFile
    imports: Sequence[artifact_pb2.ModelFile.Global]
    """What loading it would import beside what builds tensors and plain containers."""
    more_imports: int
    holds: Sequence[Some]

    @property
    def says_more(self) -> bool:
        """Whether there is more to tell of it than its row does."""
        return bool(self.holds or self.imports or self.file.code or self.file.signatures)


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Files of a version."""

    shown: Sequence[File]
    more: int
    """That are not shown."""


def files_of(version: artifact_pb2.ModelMetadata) -> Files:
    """The version's files in their order, each followed by what is in it."""
    every = [each for file in version.files for each in _with_members(file, file.path)]
    return Files([_file(path, file) for path, file in every[:FILES]], max(0, len(every) - FILES))


def _with_members(file: artifact_pb2.ModelFile, path: str) -> Iterator[tuple[str, artifact_pb2.ModelFile]]:
    yield path, file
    for member in file.members:
        yield from _with_members(member, f"{path}/{member.path}")


def _file(path: str, file: artifact_pb2.ModelFile) -> File:
    imports = [each for each in file.globals if not each.safe]
    return File(path, file, imports[:_NAMED], max(0, len(imports) - _NAMED), list(_holds(file)))


def _holds(file: artifact_pb2.ModelFile) -> Iterator[Some]:
    if not any(_is_told_of(member) for member in file.members):  # else that is told of them, not twice
        yield from _parts(file)
    properties = sorted((key, value) for key, value in file.properties.items() if key != "note")
    if properties:
        yield _some("It says of itself", properties)


def _is_told_of(file: artifact_pb2.ModelFile) -> bool:
    return bool(file.layers or file.operators or any(_is_told_of(member) for member in file.members))


def _parts(file: artifact_pb2.ModelFile) -> Iterator[Some]:
    kinds = Counter(layer.kind for layer in file.layers if layer.kind)
    if kinds:
        yield _counted(f"Layers ({len(file.layers):,})", kinds)
    elif file.layers:
        yield _some(f"Layers ({len(file.layers):,})", [(layer.name, "") for layer in file.layers])
    if file.operators:
        yield _counted(f"Operators ({sum(file.operators.values()):,})", file.operators)
    if file.opsets:
        yield _some("Operator sets", [(name or "ai.onnx", str(number)) for name, number in sorted(file.opsets.items())])


def _counted(title: str, counts: Mapping[str, int]) -> Some:
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return _some(title, [(name, f"× {count:,}") for name, count in most])


def _some(title: str, every: Sequence[tuple[str, str]]) -> Some:
    return Some(title, every[:_NAMED], max(0, len(every) - _NAMED))
