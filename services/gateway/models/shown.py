"""Versions of models as pages show them: their tensors a page at a time, the moves of their model."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater import model_versions
from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import model_versions_pb2, models_pb2

TENSORS: Final = 100
"""On one page."""


@dataclasses.dataclass(frozen=True, slots=True)
class TensorPage:
    """Some of a version's tensors, each with the path of its file."""

    tensors: Sequence[tuple[str, artifact_pb2.TensorSpec]]
    number: int
    """Of this page, from 1."""
    count: int
    """Of the pages."""
    found: int
    """Tensors on all of them."""


def page_of_tensors(version: artifact_pb2.ModelMetadata, words: str, number: int) -> TensorPage:
    """The tensors whose names hold ``words``, a page of them; a page that there is not is the nearest one."""
    wanted = [(path, each) for path, each in model_versions.tensors(version) if words.lower() in each.name.lower()]
    count = max(1, -(-len(wanted) // TENSORS))
    number = min(max(number, 1), count)
    return TensorPage(wanted[(number - 1) * TENSORS : number * TENSORS], number, count, len(wanted))


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """One move of a stage or an alias."""

    time: Timestamp
    what: str
    before: str
    after: str
    actor: str
    comment: str
    evidence: Sequence[model_versions_pb2.Evidence]


def moves_of(moves: Iterator[models_pb2.StageTransition | models_pb2.AliasChange], limit: int) -> Sequence[Move]:
    """The first of the moves as a page shows them."""
    return [_move(move) for move in itertools.islice(moves, limit)]


def _move(move: models_pb2.StageTransition | models_pb2.AliasChange) -> Move:
    if isinstance(move, models_pb2.StageTransition):
        what, before, after = f"version {_last(move.model_version)}", _stage(move.from_stage), _stage(move.to_stage)
    else:
        what, before, after = f"alias {move.alias}", _version(move.from_version), _version(move.to_version)
    return Move(move.time, what, before, after, move.actor, move.comment, move.evidence)


def _stage(stage: artifact_pb2.ModelMetadata.Stage.ValueType) -> str:
    return artifact_pb2.ModelMetadata.Stage.Name(stage).removeprefix("STAGE_").lower()


def _version(name: str) -> str:
    return f"version {_last(name)}" if name else "nothing"


def _last(name: str) -> str:
    return name.rpartition("/")[2]
