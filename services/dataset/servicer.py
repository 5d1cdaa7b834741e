"""The RPCs: convert, call, convert."""

import dataclasses
from typing import Any, TypeAlias

import grpc.aio

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc
from headwater.errors import InvalidArgument
from headwater.names import (
    BranchName,
    DatasetName,
    DatasetVersionName,
    DatastoreName,
    ProjectName,
    UploadName,
    check_segment,
)
from services.dataset import convert
from services.dataset.changes.changes import Changes
from services.dataset.datasets import Datasets, new_dataset
from services.dataset.datastores.convert import path_from_proto
from services.dataset.datastores.links import LinkRequest, Links
from services.dataset.history import convert as history
from services.dataset.history.definition import Dataflow
from services.dataset.history.model import MAIN, VersionState
from services.dataset.history.versions import Versions
from services.dataset.model import SemVer
from services.dataset.uploads import CommitRequest, Uploads

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_SETTABLE = ("display_name", "description", "key_columns", "tags", "hidden")


class DatasetServicer(datasets_pb2_grpc.DatasetServiceServicer):
    """``headwater.dataset.v1.DatasetService``; the protos say what each method does."""

    def __init__(
        self, datasets: Datasets, versions: Versions, uploads: Uploads, changes: Changes, links: Links
    ) -> None:
        self._datasets = datasets
        self._versions = versions
        self._uploads = uploads
        self._changes = changes
        self._links = links

    async def CreateDataset(self, request: datasets_pb2.CreateDatasetRequest, context: Context) -> datasets_pb2.Dataset:
        project = ProjectName.parse(request.parent, "parent")
        changes = convert.dataset_changes(request.dataset, [])
        if len(changes) < len(request.dataset.ListFields()):
            raise InvalidArgument(f"Of a new dataset, only {', '.join(_SETTABLE)} can be set.", field="dataset")
        new = new_dataset(DatasetName(project.project, request.dataset_id), current_principal().subject)
        dataset = await self._datasets.create(
            dataclasses.replace(new, **changes), request_id=request.request_id, body=body_digest(request)
        )
        return convert.dataset_to_proto(dataset)

    async def UpdateDataset(self, request: datasets_pb2.UpdateDatasetRequest, context: Context) -> datasets_pb2.Dataset:
        name = DatasetName.parse(request.dataset.name, "dataset.name")
        changes = convert.dataset_changes(request.dataset, request.update_mask.paths)
        dataset = await self._datasets.update(
            name, lambda before: dataclasses.replace(before, **changes), request.dataset.etag
        )
        return convert.dataset_to_proto(dataset)

    async def GetDataset(self, request: datasets_pb2.GetDatasetRequest, context: Context) -> datasets_pb2.Dataset:
        return convert.dataset_to_proto(await self._datasets.get(DatasetName.parse(request.name)))

    async def ListDatasets(
        self, request: datasets_pb2.ListDatasetsRequest, context: Context
    ) -> datasets_pb2.ListDatasetsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = await self._datasets.list(project, request.page_size, request.page_token, hidden=request.show_hidden)
        return datasets_pb2.ListDatasetsResponse(
            datasets=[convert.dataset_to_proto(dataset) for dataset in page.items], next_page_token=page.next_page_token
        )

    async def GetDatasetVersion(
        self, request: datasets_pb2.GetDatasetVersionRequest, context: Context
    ) -> datasets_pb2.DatasetVersion:
        return history.version_to_proto(await self._datasets.get_version(DatasetVersionName.parse(request.name)))

    async def ListDatasetVersions(
        self, request: datasets_pb2.ListDatasetVersionsRequest, context: Context
    ) -> datasets_pb2.ListDatasetVersionsResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        page = await self._datasets.list_versions(dataset, request.page_size, request.page_token)
        return datasets_pb2.ListDatasetVersionsResponse(
            dataset_versions=[history.version_to_proto(version) for version in page.items],
            next_page_token=page.next_page_token,
        )

    async def CreateDatasetVersion(
        self, request: datasets_pb2.CreateDatasetVersionRequest, context: Context
    ) -> datasets_pb2.DatasetVersion:
        version = await self._versions.create(
            DatasetName.parse(request.parent, "parent"),
            request.commit,
            SemVer.parse(request.version) if request.version else None,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return history.version_to_proto(version)

    async def UpdateDatasetVersion(
        self, request: datasets_pb2.UpdateDatasetVersionRequest, context: Context
    ) -> datasets_pb2.DatasetVersion:
        wanted = request.dataset_version
        name = DatasetVersionName.parse(wanted.name, "dataset_version.name")
        changes = history.about_changes(wanted, request.update_mask.paths)
        version = await self._versions.describe(
            name, lambda before: dataclasses.replace(before, **changes), wanted.etag
        )
        return history.version_to_proto(version)

    async def DeprecateDatasetVersion(
        self, request: datasets_pb2.DeprecateDatasetVersionRequest, context: Context
    ) -> datasets_pb2.DatasetVersion:
        return await self._set_state(request.name, VersionState.DEPRECATED, request.message, request.etag)

    async def ArchiveDatasetVersion(
        self, request: datasets_pb2.ArchiveDatasetVersionRequest, context: Context
    ) -> datasets_pb2.DatasetVersion:
        return await self._set_state(request.name, VersionState.ARCHIVED, request.message, request.etag)

    async def ReactivateDatasetVersion(
        self, request: datasets_pb2.ReactivateDatasetVersionRequest, context: Context
    ) -> datasets_pb2.DatasetVersion:
        return await self._set_state(request.name, VersionState.ACTIVE, "", request.etag)

    async def ListChunks(
        self, request: datasets_pb2.ListChunksRequest, context: Context
    ) -> datasets_pb2.ListChunksResponse:
        version = DatasetVersionName.parse(request.parent, "parent")
        split = check_segment(request.split, "split")
        checkpoint = check_segment(request.checkpoint, "checkpoint") if request.checkpoint else ""
        page = await self._datasets.list_chunks(version, checkpoint, split, request.page_size, request.page_token)
        return datasets_pb2.ListChunksResponse(
            chunks=[convert.chunk_to_proto(chunk) for chunk in page.items], next_page_token=page.next_page_token
        )

    async def ListSourceFiles(
        self, request: datasets_pb2.ListSourceFilesRequest, context: Context
    ) -> datasets_pb2.ListSourceFilesResponse:
        version = DatasetVersionName.parse(request.parent, "parent")
        page = await self._datasets.list_source_files(version, request.page_size, request.page_token)
        return datasets_pb2.ListSourceFilesResponse(
            source_files=[convert.source_file_to_proto(file) for file in page.items],
            next_page_token=page.next_page_token,
        )

    async def CreateUpload(self, request: datasets_pb2.CreateUploadRequest, context: Context) -> datasets_pb2.Upload:
        upload = await self._uploads.create(
            DatasetName.parse(request.parent, "parent"),
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
            branch=check_segment(request.branch, "branch") if request.branch else MAIN,
            inherit=request.inherit,
        )
        return convert.upload_to_proto(upload)

    async def GetUpload(self, request: datasets_pb2.GetUploadRequest, context: Context) -> datasets_pb2.Upload:
        return convert.upload_to_proto(await self._uploads.get(UploadName.parse(request.name)))

    async def FindMissingChunks(
        self, request: datasets_pb2.FindMissingChunksRequest, context: Context
    ) -> datasets_pb2.FindMissingChunksResponse:
        name = UploadName.parse(request.name)
        missing = await self._uploads.find_missing(name, request.arrow_schema, request.digests)
        return datasets_pb2.FindMissingChunksResponse(missing=missing)

    async def AddSourceFiles(
        self, request: datasets_pb2.AddSourceFilesRequest, context: Context
    ) -> datasets_pb2.AddSourceFilesResponse:
        files = [convert.source_file_from_proto(file) for file in request.source_files]
        count = await self._uploads.add_source_files(UploadName.parse(request.name), files)
        return datasets_pb2.AddSourceFilesResponse(source_file_count=count)

    async def CommitUpload(
        self, request: datasets_pb2.CommitUploadRequest, context: Context
    ) -> datasets_pb2.CommitUploadResponse:
        commit = CommitRequest(
            upload=UploadName.parse(request.name),
            version=SemVer.parse(request.version) if request.version else None,
            message=request.message,
            derived_from=tuple(request.derived_from),
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
            dataflow=_dataflow(request),
            about=history.about_from_proto(request),
        )
        return history.appended_to_proto(await self._uploads.commit(commit))

    async def RebaseUpload(
        self, request: datasets_pb2.RebaseUploadRequest, context: Context
    ) -> datasets_pb2.RebaseUploadResponse:
        upload = await self._changes.rebase(UploadName.parse(request.name))
        return datasets_pb2.RebaseUploadResponse(upload=convert.upload_to_proto(upload))

    async def AbortUpload(self, request: datasets_pb2.AbortUploadRequest, context: Context) -> datasets_pb2.Upload:
        return convert.upload_to_proto(await self._uploads.abort(UploadName.parse(request.name)))

    async def CommitDataPath(
        self, request: datasets_pb2.CommitDataPathRequest, context: Context
    ) -> datasets_pb2.CommitUploadResponse:
        dataset = DatasetName.parse(request.parent, "parent")
        kind, path = path_from_proto(request.data_path)
        link = LinkRequest(
            branch=BranchName(dataset.project, dataset.dataset, request.branch or MAIN),
            datastore=DatastoreName.parse(request.data_path.datastore, "data_path.datastore"),
            kind=kind,
            path=path,
            split_by=request.data_path.split_by,
            version=SemVer.parse(request.version) if request.version else None,
            message=request.message,
            base_commit=request.base_commit,
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return history.appended_to_proto(await self._links.commit(link))

    async def _set_state(self, name: str, state: VersionState, message: str, etag: str) -> datasets_pb2.DatasetVersion:
        version = await self._versions.set_state(DatasetVersionName.parse(name), state, message, etag)
        return history.version_to_proto(version)


def _dataflow(request: datasets_pb2.CommitUploadRequest) -> Dataflow | None:
    if not request.HasField("dataflow"):
        return None
    return Dataflow(request.dataflow.spec_json, tuple(request.dataflow.inputs))
