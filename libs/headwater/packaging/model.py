"""The model package: MLSpec's model_packaging.yaml, whole or in part (M-66…M-77)."""

from dataclasses import dataclass
from typing import ClassVar

from headwater.packaging.fields import known, listed
from headwater.packaging.general import (
    PURPOSES,
    Author,
    ContainerStore,
    Data,
    DataStore,
    FilePaths,
    Framework,
    Label,
    Step,
)
from headwater.packaging.stages import Convert, Score, Serve, Train

GENERAL = (
    *("name", "model_identifier", "description", "author", "framework"),
    *("license", "domain", "purpose", "website", "labels"),
)
"""The fields of the general section, which a part of a package, such as model_training.yaml, has none of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage:
    """A model at any part of its life: a document that only trains, serves, scores or converts is one."""

    TITLE: ClassVar = "model package"
    MOVES: ClassVar = (
        ("train.data_source.training_data.training_data_url", "train.data_source.training_data_url"),
        ("train.execution.name", "train.execution.compute_configuration.name"),
        ("train.execution.nodes", "train.execution.compute_configuration.nodes"),
        ("score.model_features_schema_source.metrics", "score.metrics"),
        ("score.model_features_schema_source.params", "score.params"),
        ("process[].params.staging_dir", "process[].staging_dir"),
        ("process[].params.trained_model_path", "process[].trained_model_path"),
        ("convert.model_source.data_store", "convert.model_source.initial_model.data_store"),
        ("convert.model_source.onnx_model", "convert.onnx_converted_model.onnx_model"),
    )
    """Where MLSpec's pages and examples have fields, and where they belong."""

    name: str = known()
    model_identifier: str = known()
    description: str = known()
    author: Author | None = None
    framework: Framework | None = None
    license: str = known()
    domain: str = known()
    purpose: str = known(usual=PURPOSES)
    website: str = known()
    labels: tuple[Label, ...] = listed()
    train: Train | None = None
    serve: Serve | None = None
    score: Score | None = None
    data: Data | None = None
    process: tuple[Step, ...] = listed()
    data_stores: tuple[DataStore, ...] = listed()
    data_store_file_paths: tuple[FilePaths, ...] = listed()
    container_stores: tuple[ContainerStore, ...] = listed()
    convert: Convert | None = None

    @property
    def is_part(self) -> bool:
        """Whether the general section is in another document, as MLSpec's model.yaml."""
        return not any(getattr(self, field) for field in GENERAL)
