"""Pipelines that are kept."""

import dataclasses
import datetime

from headwater.names import PipelineName, PipelineVersionName
from headwater.transforms.model import Definition


@dataclasses.dataclass(frozen=True, slots=True)
class PipelineVersion:
    """One stored, immutable version."""

    name: PipelineVersionName
    definition: Definition
    created_at: datetime.datetime
    created_by: str


@dataclasses.dataclass(frozen=True, slots=True)
class Pipeline:
    """A named series of versions."""

    name: PipelineName
    latest_version: str
    created_at: datetime.datetime
