"""The RPCs of what is kept beside versions: convert, call, convert."""

from typing import Any, TypeAlias

import grpc.aio

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.dataset.v1 import profiles_pb2, views_pb2, views_pb2_grpc
from headwater.names import DatasetVersionName, ProfileName, ViewName
from services.dataset.checkpoints.checkpoints import Checkpoints
from services.dataset.checkpoints.servicer import CheckpointMethods
from services.dataset.profiles.convert import profile_to_proto
from services.dataset.profiles.profiles import Profiles
from services.dataset.views.convert import check_new_view, view_to_proto
from services.dataset.views.model import view_name
from services.dataset.views.views import Views

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class DatasetViewServicer(CheckpointMethods, views_pb2_grpc.DatasetViewServiceServicer):
    """``headwater.dataset.v1.DatasetViewService``; the protos say what each method does."""

    def __init__(self, views: Views, profiles: Profiles, checkpoints: Checkpoints) -> None:
        self._views = views
        self._profiles = profiles
        self._checkpoints = checkpoints

    async def CreateView(self, request: views_pb2.CreateViewRequest, context: Context) -> views_pb2.DatasetView:
        check_new_view(request.view)
        view = await self._views.create(
            view_name(DatasetVersionName.parse(request.parent, "parent"), request.view_id),
            request.view.filter,
            request.view.description,
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return view_to_proto(view)

    async def GetView(self, request: views_pb2.GetViewRequest, context: Context) -> views_pb2.DatasetView:
        return view_to_proto(await self._views.get(ViewName.parse(request.name)))

    async def ListViews(self, request: views_pb2.ListViewsRequest, context: Context) -> views_pb2.ListViewsResponse:
        version = DatasetVersionName.parse(request.parent, "parent")
        page = await self._views.list(version, request.page_size, request.page_token)
        return views_pb2.ListViewsResponse(
            views=[view_to_proto(view) for view in page.items], next_page_token=page.next_page_token
        )

    async def DeleteView(self, request: views_pb2.DeleteViewRequest, context: Context) -> views_pb2.DeleteViewResponse:
        await self._views.delete(ViewName.parse(request.name))
        return views_pb2.DeleteViewResponse()

    async def CreateProfile(
        self, request: views_pb2.CreateProfileRequest, context: Context
    ) -> profiles_pb2.DatasetProfile:
        kind = ViewName if "/views/" in request.parent else DatasetVersionName
        begun = await self._profiles.begin(
            kind.parse(request.parent, "parent"),
            tuple(request.columns),
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return profile_to_proto(begun)

    async def GetProfile(self, request: views_pb2.GetProfileRequest, context: Context) -> profiles_pb2.DatasetProfile:
        return profile_to_proto(await self._profiles.get(ProfileName.parse(request.name)))

    async def ListProfiles(
        self, request: views_pb2.ListProfilesRequest, context: Context
    ) -> views_pb2.ListProfilesResponse:
        version = DatasetVersionName.parse(request.parent, "parent")
        page = await self._profiles.list(version, request.page_size, request.page_token)
        return views_pb2.ListProfilesResponse(
            profiles=[profile_to_proto(each) for each in page.items], next_page_token=page.next_page_token
        )
