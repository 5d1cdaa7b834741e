"""Model versions from the registry, over gRPC."""

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headwater.artifact.v1 import artifact_pb2
from headwater.errors import NotFound
from headwater.names import ArtifactName, ModelName, ModelVersionName
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc, model_versions_pb2, models_pb2, models_pb2_grpc
from services.inference.models.source import (
    ModelFile,
    ModelSource,
    ModelVersion,
    NoSuchVersion,
    Preprocessing,
    Selector,
    SelectorKind,
    SourceAway,
)
from services.inference.tensors.model import Signature, TensorSpec

_CHECK_TIMEOUT_S = 10.0  # readiness gives up sooner, unless it is this process that is slow
_RESOLVE_TIMEOUT_S = 5.0
_DOWNLOAD_TIMEOUT_S = 600.0
_BASIC = model_versions_pb2.MODEL_VERSION_VIEW_BASIC
_Format = artifact_pb2.ModelFile.Format
_Stage = artifact_pb2.ModelMetadata.Stage


class RegistryModels(ModelSource):
    """The registry behind ``channel``, whose errors are Headwater's (see chassis.rpc.client)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._models = models_pb2_grpc.ModelServiceStub(channel)
        self._artifacts = artifacts_pb2_grpc.ArtifactServiceStub(channel)
        self._health: Any = health_pb2_grpc.HealthStub(channel)

    async def resolve(self, model: ModelName, selector: Selector) -> ModelVersion:
        """See ModelSource."""
        try:
            found = await self._resolve(model, selector)
        except NotFound as error:
            raise NoSuchVersion(model=model, selector=selector) from error
        return _version_from_proto(found)

    async def download(self, model: ModelName, digest: str) -> AsyncIterator[bytes]:
        """See ModelSource."""
        name = ArtifactName(model.project, digest.removeprefix("sha256:"))
        request = artifacts_pb2.DownloadArtifactRequest(name=str(name))
        async for part in self._artifacts.DownloadArtifact(request, timeout=_DOWNLOAD_TIMEOUT_S):
            yield part.data

    async def check(self) -> None:
        """See ModelSource."""
        answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_CHECK_TIMEOUT_S)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise SourceAway

    async def _resolve(self, model: ModelName, selector: Selector) -> artifact_pb2.ModelMetadata:
        if selector.kind is SelectorKind.VERSION:
            name = ModelVersionName(model.project, model.model, selector.value)
            request = models_pb2.GetModelVersionRequest(name=str(name), view=_BASIC)
            return await self._models.GetModelVersion(request, timeout=_RESOLVE_TIMEOUT_S)
        wanted = models_pb2.ResolveModelVersionRequest(name=str(model), view=_BASIC)
        if selector.kind is SelectorKind.STAGE:
            wanted.stage = _Stage.Value(f"STAGE_{selector.value.upper()}")
        else:
            wanted.alias = selector.value
        return await self._models.ResolveModelVersion(wanted, timeout=_RESOLVE_TIMEOUT_S)


def _version_from_proto(version: artifact_pb2.ModelMetadata) -> ModelVersion:
    files = tuple(
        ModelFile(file.path, file.digest, file.size_bytes, _format_from_proto(file.format)) for file in version.files
    )
    primary = version.storage_location.rpartition("/")[2]
    name = ModelVersionName.parse(version.name)
    return ModelVersion(
        name,
        version.digest,
        files,
        f"sha256:{primary}" if primary else "",
        problems=tuple(version.problems),
        # A model that is archived is named by its uid; its versions are out of use with it.
        archived=version.state == artifact_pb2.ModelMetadata.STATE_ARCHIVED or name.model == version.model_uid,
        warning=version.warning,
        model_uid=version.model_uid,
        preprocessing=_preprocessing_from_proto(version),
        signature=_signature_from_proto(version),
        dataset_versions=tuple(version.dataset_versions),
    )


def _signature_from_proto(version: artifact_pb2.ModelMetadata) -> Signature | None:
    if not version.inputs:
        return None
    inputs, outputs = (
        tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)) for spec in side)
        for side in (version.inputs, version.outputs)
    )
    return Signature(inputs, outputs, batchable=False)


def _preprocessing_from_proto(version: artifact_pb2.ModelMetadata) -> Preprocessing | None:
    if not version.HasField("preprocessing"):
        return None
    told = version.preprocessing
    return Preprocessing(told.pipeline_version, told.digest, told.document)


def _format_from_proto(value: "_Format.ValueType") -> str:
    if value not in _Format.values():  # a registry of a later release knows more of them
        return ""
    name = _Format.Name(value).removeprefix("FORMAT_").lower()
    return "" if name == "unspecified" else name
