"""A deployment's routing between protobuf and the domain."""

from headwater.inference.v1 import routing_pb2
from headwater.names import check_segment
from services.inference.deployments.errors import InvalidDeployment
from services.inference.models.convert import selector_from_proto, selector_into_proto
from services.inference.traffic.options import CANARY, CANARY_SHADOW, FALLBACK, MAIN, Fallback, Role, Routing, Variant

_ROLES = {Role.LIVE: routing_pb2.Variant.ROLE_LIVE, Role.SHADOW: routing_pb2.Variant.ROLE_SHADOW}
_TAKEN = (MAIN, CANARY, CANARY_SHADOW)
_SUM_SLACK = 1e-9  # 33.3 + 33.3 + 33.4 is not quite 100 in binary
_FIELD = "deployment.routing"


def routing_from_proto(message: routing_pb2.Routing) -> Routing:
    """How requests are to be shared out.

    Raises:
        InvalidDeployment: two variants have one name, or the shares are more than all, or a selector is missing.
        InvalidName: a variant, an alias, a version or a deployment is no such name.
    """
    routing = Routing(
        tuple(_variant(each, f"{_FIELD}.variants[{position}]") for position, each in enumerate(message.variants)),
        tuple(_fallback(each, f"{_FIELD}.fallbacks[{position}]") for position, each in enumerate(message.fallbacks)),
        message.sticky_by_caller,
        message.tolerance,
    )
    names = [variant.name for variant in routing.variants]
    for name in names:
        if names.count(name) > 1:
            raise InvalidDeployment(f"Two variants have the name {name}.", field=f"{_FIELD}.variants")
    total = sum(variant.weight_percent for variant in routing.live)
    if total > 100 + _SUM_SLACK:
        text = f"The variants that answer may have 100 percent together; they have {total:g}."
        raise InvalidDeployment(text, field=f"{_FIELD}.variants")
    return routing


def routing_to_proto(routing: Routing) -> routing_pb2.Routing:
    """The same as the API shows it."""
    message = routing_pb2.Routing(sticky_by_caller=routing.sticky_by_caller, tolerance=routing.tolerance)
    for variant in routing.variants:
        added = message.variants.add(
            name=variant.name, role=_ROLES[variant.role], weight_percent=variant.weight_percent
        )
        selector_into_proto(variant.selector, added)
    for fallback in routing.fallbacks:
        if fallback.selector is None:
            message.fallbacks.add(deployment=fallback.deployment)
        else:
            selector_into_proto(fallback.selector, message.fallbacks.add())
    return message


def _variant(message: routing_pb2.Variant, field: str) -> Variant:
    name = check_segment(message.name, f"{field}.name")
    if name in _TAKEN or name.startswith(f"{FALLBACK}-"):
        text = f"{name} is the name of something else: call no variant {', '.join(_TAKEN)} or {FALLBACK}-…"
        raise InvalidDeployment(text, field=f"{field}.name")
    role = Role.SHADOW if message.role == routing_pb2.Variant.ROLE_SHADOW else Role.LIVE
    return Variant(name, selector_from_proto(message, field), message.weight_percent, role)


def _fallback(message: routing_pb2.Fallback, field: str) -> Fallback:
    if message.WhichOneof("who") == "deployment":
        return Fallback(deployment=check_segment(message.deployment, f"{field}.deployment"))
    return Fallback(selector_from_proto(message, field))
