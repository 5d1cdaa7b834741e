"""What both fronts of the protocol tell of the server and of its models."""

import importlib.metadata
from typing import Any

from tritonclient.grpc import service_pb2

from headwater.errors import HeadwaterError
from services.inference.deployments.serving import Serving
from services.inference.errors import NotSupported
from services.inference.kserve import metadata
from services.inference.kserve.shared_memory import Regions
from services.inference.records.recorder import Recorder

_EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
)


class About:
    """The calls of the protocol that compute nothing; answers are its messages."""

    def __init__(self, serving: Serving, recorder: Recorder, regions: Regions, server_name: str) -> None:
        self._serving = serving
        self._recorder = recorder
        self._regions = regions
        self._server_name = server_name
        self._version = importlib.metadata.version("headwater")

    def server_ready(self) -> bool:
        """Whether predictions can be made: deployments are known and answers can be recorded. Which of the models are
        ready is for :meth:`model_ready` to say."""
        try:
            self._recorder.admit()
        except HeadwaterError:
            return False
        return self._serving.in_step

    def model_ready(self, name: str, version: str) -> bool:
        """Whether this name, and version if one is given, answers."""
        try:
            self._serving.find(name, version)
        except HeadwaterError:
            return False
        return True

    def server(self) -> Any:
        """Who answers, and which extensions of the protocol."""
        extensions = [*_EXTENSIONS, "system_shared_memory"] if self._regions.enabled else _EXTENSIONS
        return service_pb2.ServerMetadataResponse(name=self._server_name, version=self._version, extensions=extensions)

    def model(self, name: str, version: str) -> Any:
        """What goes into a model and what comes out."""
        loaded = self._serving.find(name, version)
        return metadata.model_metadata(loaded, metadata.version_numbers(self._serving.follower(name)))

    def config(self, name: str, version: str) -> Any:
        """The same in Triton's notation, with the batching."""
        return metadata.model_config(self._serving.find(name, version))

    def statistics(self, name: str, version: str) -> Any:
        """What a version, or each one of a model, or each one of all models, has done since it was loaded."""
        if version:
            return metadata.model_statistics([self._serving.find(name, version)])
        if name:
            self._serving.find(name)
            return metadata.model_statistics(self._serving.follower(name).versions())
        return metadata.model_statistics(
            loaded for follower in self._serving.followers() for loaded in follower.versions()
        )

    def index(self, repository: str, *, ready_only: bool) -> Any:
        """Every deployment and whether it answers.

        Raises:
            NotSupported: a repository is named.
        """
        refuse_repository(repository)
        return metadata.repository_index(self._serving.followers(), ready_only=ready_only)


def refuse_repository(name: str) -> None:
    """Go on if no repository is named; raises NotSupported."""
    if name:
        raise NotSupported("There is one repository, without a name.", repository=name)
