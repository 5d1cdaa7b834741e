"""A deployment: a name that is served, and the version of a model that it is routed to."""

import dataclasses
import datetime
import enum
from typing import Self

from headwater.names import DeploymentName, ModelName, ModelVersionName
from services.inference.deployments.options import Options
from services.inference.models.source import ModelVersion, Selector


@dataclasses.dataclass(frozen=True, slots=True)
class Deployment:
    """What was asked to be served. ``revision`` grows with every change of it."""

    name: DeploymentName
    uid: str
    model: ModelName
    selector: Selector
    options: Options
    create_time: datetime.datetime
    update_time: datetime.datetime
    created_by: str
    revision: int = 1
    archive_time: datetime.datetime | None = None
    model_uid: str = ""
    """Empty until the model was found: a deployment may be there before its model."""
    change: int = dataclasses.field(default=0, compare=False)
    """The store's number of its last change, which is higher than that of every change of this name before."""

    @property
    def source(self) -> ModelName:
        """By what to ask for the model: its uid once that is known, so that it is found again under another name."""
        return ModelName(self.model.project, self.model_uid or self.model.model)

    def following(self, version: ModelVersion) -> Self:
        """This deployment with the uid and the present name of its model, as ``version`` of it tells them."""
        if not version.model_uid:
            return self
        model = ModelName(version.name.project, version.name.model)
        return dataclasses.replace(self, model=model, model_uid=version.model_uid)

    @property
    def served_name(self) -> str:
        """The model name that KServe v2 clients ask for."""
        return self.name.deployment

    @property
    def etag(self) -> str:
        """Of this deployment in this state: a later one of the same name has others."""
        return f'"{self.uid}.{self.revision}"'


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """That a deployment has begun to serve a version. The last segment of the model's name may be its uid."""

    deployment: Deployment
    version: ModelVersionName

    @classmethod
    def of(cls, deployment: Deployment, version: ModelVersion) -> Self:
        """The use of ``version``, by the uid of its model where it tells one: a rename is not to hide it."""
        name = version.name
        return cls(deployment, ModelVersionName(name.project, version.model_uid or name.model, name.version))


class State(enum.Enum):
    """Whether a deployment answers."""

    WAITING = enum.auto()
    READY = enum.auto()
    FAILED = enum.auto()
    ROLLED_BACK = enum.auto()
    UNLOADED = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """What this process serves for a deployment now. It is not stored: each replica tells of itself."""

    state: State
    model_version: str = ""
    model_digest: str = ""
    failure: str = ""
    warning: str = ""
    waits_for: str = ""
    """While it waits, what for."""

    @property
    def why(self) -> str:
        """Why it is not as it should be; empty where it is."""
        return self.failure or self.waits_for


WAITING = Status(State.WAITING)
UNLOADED = Status(State.UNLOADED)
