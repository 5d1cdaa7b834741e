"""What a deployment says of how drift is watched."""

import dataclasses
from collections.abc import Sequence

from headwater.errors import InvalidArgument


class InvalidDrift(InvalidArgument):
    """What is to be watched contradicts itself."""

    reason = "INVALID_DRIFT"


@dataclasses.dataclass(frozen=True, slots=True)
class FollowedTensor:
    """The dataset's columns that the columns of an input or output are; an empty one is not to be watched."""

    name: str
    columns: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """What is watched, what it is compared with, and how much is too much. Off by default.

    Attributes:
        dataset_version: whose profile requests are compared with; empty for the one that the version was trained on.
        split: of that profile; empty for ``train`` where there is one, else the largest.
        first_rows: what no profile tells is compared with so many rows, the first that the version was asked.
        window_s: a window lasts so long, and until it has ``min_rows`` rows; then it is judged as a whole.
        features: those that are watched; none means all, up to ``MAX_FEATURES``.
        inputs: what is known of the columns of inputs.
        outputs: the same of outputs.
        warn_psi, alert_psi, warn_ks, alert_ks: how far a feature may go before it is a warning, or an incident.
        false_alarms: how often a window may exceed them by chance alone, all its features together. What may be
            chance by this measure is neither a warning nor an incident, whatever the bounds.
    """

    enabled: bool = False
    dataset_version: str = ""
    split: str = ""
    first_rows: int = 1000
    window_s: float = 600.0
    min_rows: int = 500
    features: tuple[str, ...] = ()
    inputs: tuple[FollowedTensor, ...] = ()
    outputs: tuple[FollowedTensor, ...] = ()
    warn_psi: float = 0.1
    alert_psi: float = 0.2
    warn_ks: float = 0.1
    alert_ks: float = 0.2
    false_alarms: float = 0.01

    def watches(self, feature: str) -> bool:
        """Whether this feature is one of those."""
        return not self.features or feature in self.features


MAX_FEATURES = 256
MAX_COLUMNS = 128
"""An input with more columns than this is watched by the mean and the deviation of its rows."""


def check(drift: Drift) -> Drift:
    """The same.

    Raises:
        InvalidDrift: a tensor is named twice, or a warning would come after the alert.
    """
    for side, tensors in (("inputs", drift.inputs), ("outputs", drift.outputs)):
        _check_names(side, [tensor.name for tensor in tensors])
    for what in ("psi", "ks"):
        if getattr(drift, f"warn_{what}") > getattr(drift, f"alert_{what}"):
            raise InvalidDrift(f"warn_{what} must not be above alert_{what}.", field=f"deployment.drift.warn_{what}")
    return drift


def _check_names(side: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InvalidDrift(f"{name!r} is named twice.", field=f"deployment.drift.{side}[{number}]")
