"""Profiles from the dataset service, over gRPC."""

import grpc.aio

from headwater.dataset.v1 import profiles_pb2, views_pb2, views_pb2_grpc
from services.inference.drift.profile import Column, Distribution, Profile
from services.inference.drift.profiles import NoProfile, Profiles, choose_split

_TIMEOUT_S = 5.0
_PAGE = 100
_READY = profiles_pb2.DatasetProfile.STATE_READY


class DatasetProfiles(Profiles):
    """The dataset service behind ``channel``, whose errors are Headwater's (see chassis.rpc.client)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._views = views_pb2_grpc.DatasetViewServiceStub(channel)

    async def newest(self, dataset_version: str, split: str) -> Profile:
        """See Profiles."""
        request = views_pb2.GetProfileRequest(name=await self._newest(dataset_version))
        profile = await self._views.GetProfile(request, timeout=_TIMEOUT_S)
        splits = {each.split: each for each in profile.splits}
        chosen = choose_split({name: each.row_count for name, each in splits.items()}, split, dataset_version)
        columns = {each.column: _column(each, splits[chosen].row_count) for each in splits[chosen].columns}
        return Profile(profile.name, chosen, columns)

    async def _newest(self, dataset_version: str) -> str:
        request = views_pb2.ListProfilesRequest(parent=dataset_version, page_size=_PAGE)
        while True:
            page = await self._views.ListProfiles(request, timeout=_TIMEOUT_S)
            for profile in page.profiles:
                if profile.state == _READY and not profile.view and not profile.columns:
                    return profile.name
            if not page.next_page_token:
                raise NoProfile(f"{dataset_version} has no profile.", dataset_version=dataset_version)
            request.page_token = page.next_page_token


def _column(told: profiles_pb2.ColumnProfile, split_rows: int) -> Column:
    # What is below a struct or a list has as many values as it has, not as the split has rows.
    rows = told.count + told.null_count or split_rows
    return Column(
        told.column,
        rows,
        told.null_count + told.nan_count,
        _distribution(told.numbers) if told.HasField("numbers") else None,
        _distribution(told.lengths) if told.HasField("lengths") else None,
        tuple((each.value, each.count) for each in told.top_values),
        told.top_values_are_all,
    )


def _distribution(told: profiles_pb2.NumberProfile) -> Distribution:
    return Distribution(
        told.min,
        told.max,
        tuple((each.rank, each.value) for each in told.quantiles),
        tuple((each.lower, each.upper, each.count) for each in told.histogram),
    )
