"""Datasets as JSON in the shape of their protos. A resource's path is ``/api/v1/`` and its name."""

from starlette.routing import Route

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, views_pb2
from headwater.datasets.catalog import stub
from headwater.datasets.views import stub as view_stub
from headwater.names import CheckpointName, DatasetName, DatasetVersionName, ProfileName, ProjectName
from services.gateway.datasets.console import DATASET, PROFILE, PROJECT, VERSION
from services.gateway.methods import API, Answer, listed, one


class DatasetRest:
    """REST over the dataset service, in the caller's name. Lists take ``page_size`` and ``page_token``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The resources."""
        connection = self._connection
        catalog, kept = stub(connection), view_stub(connection)
        answers: dict[str, Answer] = {
            PROJECT: listed(ProjectName, catalog.ListDatasets, datasets_pb2.ListDatasetsRequest),
            DATASET: one(DatasetName, catalog.GetDataset, datasets_pb2.GetDatasetRequest),
            f"{DATASET}/versions": listed(
                DatasetName, catalog.ListDatasetVersions, datasets_pb2.ListDatasetVersionsRequest
            ),
            VERSION: one(DatasetVersionName, catalog.GetDatasetVersion, datasets_pb2.GetDatasetVersionRequest),
            f"{VERSION}/views": listed(DatasetVersionName, kept.ListViews, views_pb2.ListViewsRequest),
            f"{VERSION}/profiles": listed(DatasetVersionName, kept.ListProfiles, views_pb2.ListProfilesRequest),
            f"{VERSION}/checkpoints": listed(
                DatasetVersionName, kept.ListCheckpoints, views_pb2.ListCheckpointsRequest
            ),
            f"{VERSION}/checkpoints/{{checkpoint}}": one(
                CheckpointName, kept.GetCheckpoint, views_pb2.GetCheckpointRequest
            ),
            PROFILE: one(ProfileName, kept.GetProfile, views_pb2.GetProfileRequest),
        }
        return [Route(API + path, answer, methods=["GET"]) for path, answer in answers.items()]
