"""The parts of a model package that all its sections share (M-66, M-71…M-75)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.packaging.fields import known, listed, mapped
from headwater.packaging.values import Secret

PURPOSES: Final = (
    "binary_classification",
    "multiclass_classification",
    "regression_prediction",
    "regression_recognition",
    "clustering",
    "dimensionality_reduction",
    "custom",
)
"""What a model is for (M-67); others are read with a warning."""
S3: Final = "s3"
HEADWATER: Final = "headwater"
"""The type of a data store that is this Headwater: its paths are `digits@v1.0.0`; it needs no bucket and no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who made the model."""

    name: str = known()
    email: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The programming language that the model runs in."""

    name: str = known()
    version: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """What the model is stored as."""

    name: str = known(required=True)
    version: str = known()
    runtimes: Runtime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A page about the model, or pipelines that it is linked with."""

    url: str = known()
    pipeline_uuids: tuple[str, ...] = listed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where something lies: in a bucket of a data store, or at a URL."""

    data_store: str = known(refers=True)
    bucket: str = known()
    path: str = known()
    url: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Where something lies on the user's own machine, relative to the document."""

    path: str = known()
    url: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A container image."""

    container_image_url: str = known()
    container_store: str = known(refers=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is known of the data (M-71)."""

    source_id: str = known()
    domain: str = known()
    website: str = known()
    license: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConnection:
    """How an object store is reached."""

    endpoint: str = known()
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStore:
    """An object store that other sections name (M-72). Without a type it is ``s3``."""

    name: str = known(required=True, refers=True)
    type: str = known(usual=(S3, HEADWATER))
    connection: StoreConnection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePaths:
    """Files within a data store that other sections name together (M-73)."""

    name: str = known(required=True, refers=True)
    feature_file: str = known()
    input_schema_file: str = known()
    output_schema_file: str = known()
    sample_inputs_file: str = known()
    others: Mapping[str, str] = mapped(rest=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that runs before or after training, serving or scoring (M-74)."""

    name: str = known(required=True)
    params: Mapping[str, Any] = mapped()
    staging_dir: str = known()
    trained_model_path: str = known()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConnection:
    """How a container registry is reached."""

    container_registry: str = known(required=True)
    container_registry_token: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStore:
    """A container registry that images name (M-75)."""

    name: str = known(required=True, refers=True)
    connection: RegistryConnection | None = None
