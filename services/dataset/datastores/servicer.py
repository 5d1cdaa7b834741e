"""The RPCs of datastores: convert, call, convert."""

from typing import Any, TypeAlias

import grpc.aio

from chassis.auth import current_principal
from headwater.dataset.v1 import datastores_pb2, datastores_pb2_grpc
from headwater.names import DatastoreName, ProjectName
from services.dataset.datastores import convert
from services.dataset.datastores.datastores import Datastores, NewDatastore
from services.dataset.datastores.sealing import Credentials, Seal

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class DatastoreServicer(datastores_pb2_grpc.DatastoreServiceServicer):
    """``headwater.dataset.v1.DatastoreService``; the protos say what each method does."""

    def __init__(self, datastores: Datastores, seal: Seal) -> None:
        self._datastores = datastores
        self._seal = seal

    async def CreateDatastore(
        self, request: datastores_pb2.CreateDatastoreRequest, context: Context
    ) -> datastores_pb2.Datastore:
        project = ProjectName.parse(request.parent, "parent")
        new = NewDatastore(
            name=DatastoreName(project.project, request.datastore_id),
            display_name=request.datastore.display_name,
            place=convert.place_from_proto(request.datastore),
            credentials=Credentials(dict(request.credentials)),
            author=current_principal().subject,
            request_id=request.request_id,
            body=self._seal.digest(request.SerializeToString(deterministic=True)),
        )
        return convert.datastore_to_proto(await self._datastores.create(new))

    async def GetDatastore(
        self, request: datastores_pb2.GetDatastoreRequest, context: Context
    ) -> datastores_pb2.Datastore:
        return convert.datastore_to_proto(await self._datastores.get(DatastoreName.parse(request.name)))

    async def ListDatastores(
        self, request: datastores_pb2.ListDatastoresRequest, context: Context
    ) -> datastores_pb2.ListDatastoresResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = await self._datastores.list(
            project, request.page_size, request.page_token, archived=request.show_archived
        )
        return datastores_pb2.ListDatastoresResponse(
            datastores=[convert.datastore_to_proto(each) for each in page.items], next_page_token=page.next_page_token
        )

    async def RenameDatastore(
        self, request: datastores_pb2.RenameDatastoreRequest, context: Context
    ) -> datastores_pb2.Datastore:
        name = DatastoreName.parse(request.name)
        new = DatastoreName(name.project, request.datastore_id).datastore
        return convert.datastore_to_proto(await self._datastores.rename(name, new, request.etag))

    async def SetDatastoreCredentials(
        self, request: datastores_pb2.SetDatastoreCredentialsRequest, context: Context
    ) -> datastores_pb2.Datastore:
        credentials = Credentials(dict(request.credentials))
        changed = await self._datastores.set_credentials(DatastoreName.parse(request.name), credentials)
        return convert.datastore_to_proto(changed)

    async def ArchiveDatastore(
        self, request: datastores_pb2.ArchiveDatastoreRequest, context: Context
    ) -> datastores_pb2.Datastore:
        archived = await self._datastores.archive(DatastoreName.parse(request.name), request.etag)
        return convert.datastore_to_proto(archived)

    async def CheckDatastore(
        self, request: datastores_pb2.CheckDatastoreRequest, context: Context
    ) -> datastores_pb2.CheckDatastoreResponse:
        taken_s = await self._datastores.check(DatastoreName.parse(request.name))
        return datastores_pb2.CheckDatastoreResponse(latency_ms=round(taken_s * 1000))
