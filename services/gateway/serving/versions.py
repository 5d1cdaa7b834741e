"""What answers for a deployment now: each version behind the name with what it has done and how its breaker stands."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from headwater.datasets import figures
from headwater.inference.v1 import deployments_pb2, incidents_pb2, rollouts_pb2, routing_pb2
from services.gateway.serving.standings import Standing
from services.gateway.serving.wording import chosen, percent

_T = rollouts_pb2.TrafficTarget
_BREAKERS: Final[Mapping[int, Standing]] = {
    _T.BREAKER_CLOSED: Standing("closed", "good", "The version is asked."),
    _T.BREAKER_HALF_OPEN: Standing("half-open", "warn", "Some requests try whether the version answers again."),
    _T.BREAKER_OPEN: Standing("open", "bad", "The version is not asked."),
}
_ELSEWHERE: Final = Standing(
    "closed here", "warn", "An incident of its breaker is open: in another replica, or since a process was killed."
)
_FALLBACK = "fallback-"
_CANARY = "canary"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One version behind the name, as the replica that answered has it."""

    name: str
    gets: str
    chosen: str
    model_version: str
    answered: int
    failed: int
    reasons: str
    """How many for which reason."""
    breaker: Standing
    incident: str
    """The open one about its breaker, as a resource name; empty for none."""
    comparison: str
    """How a shadow's answers compare, in words; empty where nothing was compared."""
    failure: str


def targets_of(
    deployment: deployments_pb2.Deployment,
    traffic: rollouts_pb2.Traffic,
    incidents: Iterable[incidents_pb2.Incident],
    rollout: rollouts_pb2.Rollout | None,
) -> Sequence[Target]:
    """The main version, variants, a rollout's and fallbacks; ``incidents`` are the open ones."""
    opened = _opened(incidents)
    return [
        Target(
            target.name,
            _gets(target),
            _chosen(deployment, target, rollout),
            target.model_version,
            target.answered_count,
            sum(target.errors.values()),
            ", ".join(f"{count:,} {reason}" for reason, count in sorted(target.errors.items())),
            _breaker(deployment, target, opened),
            opened.get(target.model_version, ""),
            _compared(target.comparison),
            target.failure,
        )
        for target in traffic.targets
    ]


def other_fallbacks(deployment: deployments_pb2.Deployment) -> Sequence[str]:
    """The deployments that stand in for it."""
    return [each.deployment for each in deployment.routing.fallbacks if each.WhichOneof("who") == "deployment"]


def _opened(incidents: Iterable[incidents_pb2.Incident]) -> Mapping[str, str]:
    """The newest incident by the version whose breaker it is about."""
    found: dict[str, str] = {}
    for incident in incidents:
        if incident.kind == incidents_pb2.Incident.KIND_BREAKER_OPENED:
            for version in incident.versions:
                if version.part == "failing":
                    found.setdefault(version.model_version, incident.name)
    return found


def _breaker(
    deployment: deployments_pb2.Deployment, target: rollouts_pb2.TrafficTarget, opened: Mapping[str, str]
) -> Standing:
    if target.model_version and deployment.guard.breaker.disabled:
        return Standing("switched off", "off", "The version is asked however often it fails.")
    if target.breaker == target.BREAKER_CLOSED and target.model_version in opened:
        return _ELSEWHERE
    return _BREAKERS.get(target.breaker, Standing("", "off"))


def _gets(target: rollouts_pb2.TrafficTarget) -> str:
    if target.name.startswith(_FALLBACK):
        return "what the others cannot answer"
    share = percent(target.weight_percent)
    return f"copies of {share}" if target.role == routing_pb2.Variant.ROLE_SHADOW else share


def _chosen(
    deployment: deployments_pb2.Deployment, target: rollouts_pb2.TrafficTarget, rollout: rollouts_pb2.Rollout | None
) -> str:
    if target.name == "main":
        return chosen(deployment)
    if target.name.startswith(_CANARY):
        return f"the rollout of version {rollout.plan.version}" if rollout is not None else "a rollout"
    for variant in deployment.routing.variants:
        if variant.name == target.name:
            return chosen(variant)
    number = target.name.removeprefix(_FALLBACK)
    if number.isascii() and number.isdigit() and 1 <= int(number) <= len(deployment.routing.fallbacks):
        return chosen(deployment.routing.fallbacks[int(number) - 1])
    return ""


def _compared(found: rollouts_pb2.ShadowComparison) -> str:
    if not (found.compared_count or found.failed_count or found.dropped_count):
        return ""
    said = [f"{found.agreed_count:,} of {found.compared_count:,} answers agree"]
    if found.compared_count:
        said[0] += f" ({figures.share(found.agreed_count, found.compared_count)})"
        said.append(f"{found.identical_count:,} are the same to the bit")
        said.append(f"the largest difference is {figures.number(found.largest_difference)}")
    if found.failed_count:
        said.append(f"{found.failed_count:,} copies failed")
    if found.dropped_count:
        said.append(f"{found.dropped_count:,} were left out because it was behind")
    return ", ".join(said)
