"""Who a worker is, as the scheduler and the launcher say in its environment."""

import dataclasses
from collections.abc import Mapping
from typing import Self

from headwater.client import Connection, Endpoints
from headwater.errors import FailedPrecondition
from headwater.names import TrainingJobName
from headwater.training.v1 import workers_pb2


class NotInJob(FailedPrecondition):
    """The code does not run within a training job."""

    reason = "NOT_IN_JOB"
    text = "This runs only within a training job: submit the folder with `headwater train submit`."


@dataclasses.dataclass(frozen=True, slots=True)
class Worker:
    """One worker of one attempt of a job."""

    job: TrainingJobName
    fencing_token: int
    rank: int
    world_size: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read HEADWATER_JOB, HEADWATER_FENCING_TOKEN, RANK and WORLD_SIZE.

        Raises:
            NotInJob: they are not there.
        """
        try:
            return cls(
                job=TrainingJobName.parse(environment["HEADWATER_JOB"]),
                fencing_token=int(environment["HEADWATER_FENCING_TOKEN"]),
                rank=int(environment.get("RANK", "0")),
                world_size=int(environment.get("WORLD_SIZE", "1")),
            )
        except KeyError as error:
            raise NotInJob(variable=error.args[0]) from None

    def to_proto(self) -> workers_pb2.WorkerIdentity:
        """As each call to the scheduler carries it."""
        return workers_pb2.WorkerIdentity(job=str(self.job), fencing_token=self.fencing_token, rank=self.rank)


class JobToken:
    """The job's token, which the scheduler renews while the job runs."""

    def __init__(self, present: str) -> None:
        self.present = present

    def __call__(self) -> str:
        return self.present


def connect(environment: Mapping[str, str], token: JobToken) -> Connection:
    """A connection to the services that the environment names."""
    return Connection(Endpoints.from_environment(environment), token)
