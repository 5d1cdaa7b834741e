"""The record of a run: MLSpec's experiment_example.yml (M-34)."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from headwater.packaging.fields import known, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key and its value."""

    key: str = known(required=True)
    value: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A hyperparameter."""

    key: str = known(required=True)
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """Something that went in or came out."""

    key: str = known(required=True)
    path: str = known(required=True)
    artifact_type: str = known(choices=("MODEL", "DATA"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What was measured: a number, a list of numbers, or an object. ``NUMBER`` is read as ``scalar`` (K-13)."""

    key: str = known(required=True)
    value: Any = known(None, required=True)
    value_type: str = known(choices=("scalar", "array", "object", "NUMBER"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRecord:
    """One run of an experiment, as it was."""

    TITLE: ClassVar = "record of an experiment"
    MOVES: ClassVar = ()

    ml_spec_version: str = known("0.0.1", key="mlSpecVersion", choices=("0.0.1",))
    id: str = known()
    project_id: str = known()
    experiment_id: str = known()
    name: str = known(required=True)
    submitted_date: datetime.datetime | None = known(None, key="submittedDate")
    submitter_id: str = known(key="submitterId")
    hyperparameters: tuple[Parameter, ...] = listed(one=True)
    artifacts: tuple[File, ...] = listed(one=True)
    datasets: tuple[File, ...] = listed(one=True)
    metrics: tuple[Metric, ...] = listed(one=True)
    tags: tuple[Pair, ...] = listed(one=True)
    properties: tuple[Pair, ...] = listed(one=True)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The hyperparameters by their names."""
        return {parameter.key: parameter.value for parameter in self.hyperparameters}
