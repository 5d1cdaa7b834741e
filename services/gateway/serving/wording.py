"""Lengths of time, selectors and shares of deployments, as people say them."""

import dataclasses
from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration

from headwater.artifact.v1 import artifact_pb2
from headwater.datasets import figures
from headwater.inference.v1 import deployments_pb2, routing_pb2

_UNITS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))

Chooses = deployments_pb2.Deployment | routing_pb2.Variant | routing_pb2.Fallback


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What goes to one version behind a name."""

    name: str
    """``main`` or the variant's name."""
    chosen: str
    """How its version is chosen."""
    percent: float
    copies: bool
    """Whether it gets copies only, and answers nobody."""

    @property
    def said(self) -> str:
        """``30 %`` or ``copies of 30 %``."""
        return f"copies of {percent(self.percent)}" if self.copies else percent(self.percent)


def lasting(seconds: float) -> str:
    """``5 ms``, ``30 s``, ``5 min``, ``2 days``: in the largest unit in which it is whole, or at least one."""
    if seconds < 1:
        return f"{figures.number(seconds * 1000)} ms"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size and (seconds % size == 0 or size == 1))
    return f"{figures.number(seconds / size)} {unit if seconds != size or unit != 'days' else 'day'}"


def ms(count: int) -> str:
    """The same of milliseconds."""
    return lasting(count / 1000)


def duration(value: Duration) -> str:
    """The same of a protobuf's duration."""
    return lasting(value.ToNanoseconds() / 1e9)


def percent(value: float) -> str:
    """``12.5 %``."""
    return f"{value:.4g} %"


def chosen(message: Chooses) -> str:
    """``stage production``, ``alias champion``, ``version 3``, ``deployment other``; empty where nothing is."""
    choice = message.WhichOneof("who") if isinstance(message, routing_pb2.Fallback) else message.WhichOneof("selector")
    if choice is None:
        return ""
    if choice == "stage":
        return f"stage {artifact_pb2.ModelMetadata.Stage.Name(message.stage).removeprefix('STAGE_').lower()}"
    return f"{choice} {getattr(message, choice)}"


def shares(deployment: deployments_pb2.Deployment) -> Sequence[Share]:
    """What its routing says: the main version first, then its variants. A rollout is not in it."""
    variants = [
        Share(each.name, chosen(each), each.weight_percent, each.role == routing_pb2.Variant.ROLE_SHADOW)
        for each in deployment.routing.variants
    ]
    rest = 100 - sum(each.percent for each in variants if not each.copies)
    return [Share("main", chosen(deployment), max(0.0, rest), copies=False), *variants]
