"""``headwater deployment show`` and ``route``: which versions answer, and what each has done."""

from headwater import references, traffic
from headwater.cli.deployment.app import AsJson, app
from headwater.cli.deployment.serving import print_deployment
from headwater.cli.render import table
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, rollouts_pb2, routing_pb2
from headwater.names import DEFAULT_PROJECT

_COLUMNS = (
    *("target", "share", "version", "answered", "failed"),
    *("compared", "agreed", "largest difference", "breaker", "failure"),
)


@app.command
def show(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show a deployment, its variants, and what each version has done since the replica that answers has loaded it.

    Parameters
    ----------
    name
        The served name.
    project
        The project of the deployment.
    """
    deployed = references.deployment(name, project)
    with Connection.discover() as connection:
        stub = deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference"))
        print_deployment(stub.GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(deployed))))
        table(_COLUMNS, map(_row, traffic.get(connection, deployed).targets))


@app.command
def route(
    name: str,
    *,
    variant: list[str] | None = None,
    shadow: list[str] | None = None,
    fallback: list[str] | None = None,
    sticky_by_caller: bool = False,
    tolerance: float = 0.0,
    only_main: bool = False,
    in_json: AsJson = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Share out the requests in this way from now on; what was said before holds no longer.

    Parameters
    ----------
    name
        The served name.
    variant
        NAME=VERSION:PERCENT, once for each: who answers this share. VERSION is a number, a stage or an alias.
    shadow
        The same: a version that gets copies of this share, after they were answered.
    fallback
        A version, or deployment:NAME, once for each: who answers when the version chosen cannot, in this order.
    sticky_by_caller
        Keep requests without a routing key together by who asks.
    tolerance
        By how much a number in a shadow's answer may differ and still agree.
    only_main
        Let the main version answer everything.
    in_json
        Print the deployment as JSON.
    project
        The project of the deployment.
    """
    variants = [traffic.parse_variant(text) for text in variant or ()]
    variants += [traffic.parse_variant(text, shadow=True) for text in shadow or ()]
    fallbacks = [traffic.fallback(text) for text in fallback or ()]
    if bool(variants or fallbacks) == only_main:
        raise InvalidArgument("Give --variant, --shadow or --fallback, or else --only-main.", field="variant")
    deployed = references.deployment(name, project)
    with Connection.discover() as connection:
        deployment = traffic.route(
            connection,
            deployed,
            variants,
            fallbacks,
            sticky_by_caller=sticky_by_caller,
            tolerance=tolerance,
        )
    print_deployment(deployment, in_json)


def _row(target: rollouts_pb2.TrafficTarget) -> tuple[object, ...]:
    found = target.comparison
    compares = target.role == routing_pb2.Variant.ROLE_SHADOW
    return (
        target.name,
        f"{target.weight_percent:g} %" + (" copied" if compares else ""),
        target.model_version.rpartition("/")[2],
        target.answered_count,
        sum(target.errors.values()),
        found.compared_count if compares else "",
        found.agreed_count if compares else "",
        f"{found.largest_difference:.3g}" if compares else "",
        _breaker(target),
        target.failure,
    )


def _breaker(target: rollouts_pb2.TrafficTarget) -> str:
    """Where it stands, in one word; empty where no version is loaded."""
    name = rollouts_pb2.TrafficTarget.Breaker.Name(target.breaker).removeprefix("BREAKER_").lower()
    return "" if name == "unspecified" else name.replace("_", "-")
