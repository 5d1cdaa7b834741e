"""What a deployment takes: rows as they come, or the tensors that the model takes."""

import dataclasses
import enum


class Takes(enum.Enum):
    """The values are what the database keeps."""

    EITHER = "either"
    RAW = "raw"
    TENSORS = "tensors"


@dataclasses.dataclass(frozen=True, slots=True)
class Preparing:
    """What a deployment takes. EITHER: the input ``raw`` where the version has a pipeline, and else the model's own
    inputs, as each request has them. RAW and TENSORS: only that."""

    takes: Takes = Takes.EITHER
