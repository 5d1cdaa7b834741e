"""What a Keras model says of itself, wherever its configuration and its weights are kept."""

from collections.abc import Mapping, Sequence

from services.registry.formats.facts import FileFacts, Format, InvalidModelFile, Tensor
from services.registry.formats.keras import config, shapes

_OF_OPTIMIZER = ("optimizer/", "optimizer_weights/")


def invalid(what: str) -> InvalidModelFile:
    """It breaks a rule of the format."""
    return InvalidModelFile(f"Not a valid Keras model: {what}.", format="keras")


def described(
    configurations: Sequence[bytes],
    tensors: Sequence[Tensor],
    problems: Sequence[str],
    version: str,
    properties: Mapping[str, str],
) -> FileFacts:
    """What the model says, out of its configuration and maybe that of its training, and of what its weights files hold.

    Raises:
        InvalidModelFile: a configuration is broken.
    """
    try:
        parsed = [config.parse(each) for each in configurations]
        found = [config.examine(each) for each in parsed]
        inputs, outputs = shapes.ends(parsed[0])
    except config.BadConfig as error:
        raise invalid(str(error)) from error
    return FileFacts(
        Format.KERAS,
        tensors=of_model(tensors),
        inputs=inputs,
        outputs=outputs,
        properties={**properties, **of_optimizer(tensors)},
        framework="keras",
        framework_version=version,
        architecture=config.kind(parsed[0]),
        layers=found[0].layers,
        code=list(dict.fromkeys(code for each in found for code in each.code)),
        problems=[*dict.fromkeys(problem for each in found for problem in each.problems), *problems],
    )


def of_model(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """The weights, without what belongs to the optimizer, by the names that they have in the model."""
    return [
        tensor._replace(name=tensor.name.removeprefix("model_weights/"))
        for tensor in tensors
        if not tensor.name.startswith(_OF_OPTIMIZER)
    ]


def of_optimizer(tensors: Sequence[Tensor]) -> Mapping[str, str]:
    """How many tensors belong to the optimizer, as a property; none where there is none."""
    count = sum(tensor.name.startswith(_OF_OPTIMIZER) for tensor in tensors)
    return {"optimizer_tensors": str(count)} if count else {}
