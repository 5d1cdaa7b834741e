"""The model description: MLSpec's model_example.yml (M-79)."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from headwater.packaging.fields import known, listed, mapped
from headwater.packaging.general import PURPOSES


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeArtifact:
    """A file that is needed to make the model run, and where it lies then."""

    name: str = known()
    uri: str = known(required=True)
    relative_path: str = known(key="relativePath")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedFramework:
    """What the model was made with."""

    name: str = known(required=True)
    version: str = known()
    custom: Mapping[str, Any] = mapped()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the model was made of."""

    code_assets: Any = known(None, key="codeAssets")
    data_assets: Any = known(None, key="dataAssets")
    created_by: str = known()
    pipeline: str = known()
    logs: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the model takes and gives.

    ``schema`` and ``features`` say what the model takes: a JSON Schema, or a list of `{name, type, shape}`.
    ``service_schema`` is a JSON Schema of a request's body or an OpenAPI document, ``output_schema`` is a JSON Schema
    of an answer's body.
    """

    schema: Any = None
    link_to_dataset: str = known()
    features: Any = None
    service_schema: Any = None
    output_schema: Any = None
    metrics: Mapping[str, Any] = mapped()
    sample_inputs: Any = known(None, key="sampleInputs")
    tags: Mapping[str, Any] = mapped()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """One model as it was made: its files, where it comes from, what it takes, and until when it may be used."""

    TITLE: ClassVar = "model description"
    MOVES: ClassVar = (
        ("accelerator", "framework.custom.accelerator"),
        ("custom.origin", "origin"),
        ("custom.composition", "composition"),
        ("custom.expiry", "expiry"),
        ("custom.metadata", "metadata"),
        ("metadata.schema.link_to_dataset", "metadata.link_to_dataset"),
        ("metadata.schema.features", "metadata.features"),
        ("metadata.schema.service_schema", "metadata.service_schema"),
        ("metadata.key", "metadata.tags.key"),
    )

    spec_version: str = known("0.0.1", key="specVersion", choices=("0.0.1",))
    runtime_artifacts: tuple[RuntimeArtifact, ...] = listed(key="runtimeArtifacts", named="uri")
    framework: DescribedFramework | None = None
    time_created: datetime.datetime | None = None
    created_by: str = known()
    purpose: str = known(usual=PURPOSES)
    clustering: str = known()
    dimensionality_reduction: str = known()
    custom: Mapping[str, Any] = mapped()
    composition: Any = None
    origin: Origin | None = None
    expiry: datetime.datetime | None = None
    metadata: Metadata | None = None

    def is_expired(self, now: datetime.datetime) -> bool:
        """Whether the model may not be used any more at ``now``, which knows its time zone."""
        return self.expiry is not None and now >= self.expiry
