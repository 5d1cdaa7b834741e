"""What a deployment says of how its requests are shared out to versions."""

import dataclasses
import enum

from services.inference.models.source import Selector

MAIN = "main"
"""The name of the variant that the deployment's own selector stands for."""
CANARY = "canary"
"""The name of the variant that a rollout adds."""
CANARY_SHADOW = "canary-shadow"
"""The same, for the copies that it gets."""
FALLBACK = "fallback"
"""The names of fallbacks of the same model begin with it: fallback-1."""


class Role(enum.Enum):
    """What a variant is for. The values are what the database keeps."""

    LIVE = "live"
    """It answers its share of the requests."""
    SHADOW = "shadow"
    """It gets copies of its share of the requests; its answers are compared with those given, and given to nobody."""


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """A further version behind the name. ``weight_percent`` is its share of all requests, from 0 to 100."""

    name: str
    selector: Selector
    weight_percent: float = 0.0
    role: Role = Role.LIVE


@dataclasses.dataclass(frozen=True, slots=True)
class Fallback:
    """Who answers when the version that was chosen cannot: another version of the model, or another deployment, by the
    name that it is served under."""

    selector: Selector | None = None
    deployment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Routing:
    """How requests are shared out.

    Attributes:
        variants: beside the main version, which answers what they leave.
        fallbacks: in the order in which they are tried, after the main version.
        sticky_by_caller: requests without a routing key are kept together by who asks, instead of drawn one by one.
        tolerance: by how much a number in a shadow's answer may differ and still agree.
    """

    variants: tuple[Variant, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    sticky_by_caller: bool = False
    tolerance: float = 0.0

    @property
    def live(self) -> tuple[Variant, ...]:
        """The variants that answer."""
        return tuple(variant for variant in self.variants if variant.role is Role.LIVE)

    @property
    def shadows(self) -> tuple[Variant, ...]:
        """The variants that get copies."""
        return tuple(variant for variant in self.variants if variant.role is Role.SHADOW)

    @property
    def main_percent(self) -> float:
        """The share that the main version answers."""
        return max(100.0 - sum(variant.weight_percent for variant in self.live), 0.0)
