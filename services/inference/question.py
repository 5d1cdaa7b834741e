"""What is asked of a deployment, whatever protocol it came by."""

import dataclasses
from collections.abc import Mapping, Sequence

from services.inference.tensors.model import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One request for a prediction.

    Attributes:
        model: the served name.
        version: the version number that must answer; empty for whichever the deployment chooses.
        inputs: by name.
        outputs: the names of those that are wanted; none for all.
        caller: who asks.
        client_request_id: the id that the client gave; empty for none.
        arrived: a reading of the clock's ``monotonic``.
        timeout_s: how long the client waits; None for as long as the call may take.
        routing_key: questions with the same one are answered by the same variant; empty for none.
        priority: 1 is to be answered before 2, and so on; 0 for no particular one.
        return_features: whether the output ``features`` is wanted; None for what the model does by itself.
    """

    model: str
    version: str
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    caller: str
    client_request_id: str
    arrived: float
    timeout_s: float | None = None
    routing_key: str = ""
    priority: int = 0
    return_features: bool | None = None
