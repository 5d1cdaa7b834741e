"""How versions of models differ, decided from what is known of each."""

import dataclasses
import enum
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from services.registry.formats import Signature, Tensor
from services.registry.lineage.model import NodeKind, kind_of
from services.registry.values import Json
from services.registry.versions.model import ModelVersion
from services.registry.versions.signature import breaking_changes


class Section(enum.IntEnum):
    """What part of a version something is about; the numbers are those of ``ModelVersionComparison.Section``."""

    GENERAL = 1
    METRIC = 2
    HYPERPARAMETER = 3
    SIGNATURE = 4
    SIZE = 5
    LINEAGE = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One thing that is said of each version, as text; empty where nothing is said.

    ``differences`` are those of numbers to the first version's, NaN where one of the two has none; empty for what is no
    number.
    """

    section: Section
    key: str
    values: Sequence[str]
    differences: Sequence[float] = ()

    @property
    def differs(self) -> bool:
        """Whether the versions differ in it."""
        return len(set(self.values)) > 1


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A version with the names of everything that it comes from."""

    version: ModelVersion
    upstream: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Versions in the order asked for, what is said of them by section and key, and how the last breaks callers of the
    first."""

    versions: Sequence[ModelVersion]
    rows: Sequence[Row]
    breaking_changes: Sequence[str]


Said: TypeAlias = Mapping[str, Json]

_SECTIONS: Sequence[tuple[Section, Callable[[Subject], Said]]] = (
    (Section.GENERAL, lambda subject: _general(subject.version)),
    (Section.METRIC, lambda subject: dict(subject.version.metrics)),
    (Section.HYPERPARAMETER, lambda subject: subject.version.hyperparameters),
    (Section.SIGNATURE, lambda subject: _signature(subject.version)),
    (Section.SIZE, lambda subject: _size(subject.version)),
    (Section.LINEAGE, lambda subject: _lineage(subject)),
)


def compare(subjects: Sequence[Subject]) -> Comparison:
    """How the versions differ; the first is what the others are compared with."""
    versions = [subject.version for subject in subjects]
    first, last = versions[0], versions[-1]
    return Comparison(
        [version.basic() for version in versions],
        [row for section, say in _SECTIONS for row in _rows(section, [say(subject) for subject in subjects])],
        breaking_changes(Signature(first.inputs, first.outputs), Signature(last.inputs, last.outputs)),
    )


def _rows(section: Section, said: Sequence[Said]) -> Iterator[Row]:
    for key in sorted({key for each in said for key in each}):
        values = [each.get(key) for each in said]
        yield Row(section, key, [_text(value) for value in values], _differences(values))


def _differences(values: Sequence[Json]) -> Sequence[float]:
    numbers = [_number(value) for value in values]
    if any(number is None and value is not None for number, value in zip(numbers, values, strict=True)):
        return ()
    first = numbers[0]
    return [math.nan if number is None or first is None else number - first for number in numbers]


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _general(version: ModelVersion) -> Said:
    said: dict[str, Json] = {
        "semantic version": str(version.semantic_version or ""),
        "framework": f"{version.framework_name} {version.framework_version}".strip(),
        "architecture": version.architecture,
        "task": version.task,
        "format": version.format.name.lower(),
        "stage": version.stage.name.lower(),
        "state": version.state.name.lower(),
        "aliases": ", ".join(version.aliases),
        "tags": ", ".join(version.tags),
        "files": version.digest,
        "problems": "; ".join(version.problems),
        "run": version.run,
        "preprocessing": version.preprocessing.shown if version.preprocessing else "",
        "source": version.source,
        "created by": version.created_by,
        **{f"annotation {key}": value for key, value in version.annotations.items()},
        # Hyperparameters are compared one by one, whoever said them.
        **{f"metadata {key}": value for key, value in version.user_metadata.items() if key != "hyperparameters"},
    }
    return {key: value for key, value in said.items() if value != ""}


def _signature(version: ModelVersion) -> Said:
    said = {f"input {each.name}": _tensor(each) for each in version.inputs}
    return {**said, **{f"output {each.name}": _tensor(each) for each in version.outputs}}


def _tensor(tensor: Tensor) -> str:
    return f"{tensor.datatype}[{', '.join('?' if size == -1 else str(size) for size in tensor.shape)}]"


def _size(version: ModelVersion) -> Said:
    return {
        "bytes": version.size_bytes,
        "files": len(version.files),
        "parameters": version.parameter_count,
        "tensors": sum(len(file.facts.tensors) for file in version.files),
    }


def _lineage(subject: Subject) -> Said:
    """By what it is a version of: of a dataset or a pipeline its versions, of code its digests."""
    upstream = {*subject.upstream, *subject.version.dataset_versions, *subject.version.pipeline_versions}
    found: dict[str, set[str]] = defaultdict(set)
    for name in _of_interest(upstream - {str(subject.version.name)}):
        parent, _, version = name.partition("/versions/")
        if version:
            found[parent].add(version)
        else:
            parent, _, digest = name.rpartition("/")
            found[parent].add(digest)
    return {parent: ", ".join(sorted(versions)) for parent, versions in found.items()}


def _of_interest(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if kind_of(name) in (NodeKind.DATA, NodeKind.EXECUTABLE, NodeKind.MODEL_VERSION):
            yield name
