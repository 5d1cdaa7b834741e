"""How one signature breaks those who call another (docs/reference/model-versions.md).

Who calls a model sends every input and reads some of the outputs, each by its name. So an input may come to take more,
and an output to give less; never the other way round.
"""

from collections.abc import Iterator, Mapping, Sequence

from services.registry.formats import Signature, Tensor

_MAX_TOLD = 100


def breaking_changes(before: Signature, after: Signature) -> Sequence[str]:
    """Each change that breaks callers of ``before``, for people; empty when there is none, or nothing was promised."""
    if not (before.inputs or before.outputs):
        return []
    if not (after.inputs or after.outputs):
        return ["inputs and outputs are not known any more"]
    found = [*_of_inputs(before.inputs, after.inputs), *_of_outputs(before.outputs, after.outputs)]
    return found if len(found) <= _MAX_TOLD else [*found[:_MAX_TOLD], f"and {len(found) - _MAX_TOLD} more"]


def _of_inputs(before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[str]:
    old, new = _by_name(before), _by_name(after)
    for name in sorted(old.keys() - new.keys()):
        yield f"input {name} is gone"
    for name in sorted(new.keys() - old.keys()):
        yield f"input {name} is new, and every call must send it"
    for name in sorted(old.keys() & new.keys()):
        yield from _changed(f"input {name}", old[name], new[name], may_become_free=True)


def _of_outputs(before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[str]:
    old, new = _by_name(before), _by_name(after)
    for name in sorted(old.keys() - new.keys()):
        yield f"output {name} is gone"
    for name in sorted(old.keys() & new.keys()):
        yield from _changed(f"output {name}", old[name], new[name], may_become_free=False)


def _changed(what: str, old: Tensor, new: Tensor, *, may_become_free: bool) -> Iterator[str]:
    if old.datatype != new.datatype:
        yield f"{what} is {_type(new)} and was {_type(old)}"
    if len(old.shape) != len(new.shape):
        yield f"{what} has {len(new.shape)} dimensions and had {len(old.shape)}"
        return
    for number, (was, now) in enumerate(zip(old.shape, new.shape, strict=True)):
        free = now if may_become_free else was  # the side on which -1 does no harm
        if was != now and free != -1:
            yield f"dimension {number} of {what} is {_size(now)} and was {_size(was)}"


def _by_name(tensors: Sequence[Tensor]) -> Mapping[str, Tensor]:
    return {tensor.name: tensor for tensor in tensors}


def _type(tensor: Tensor) -> str:
    return tensor.datatype or "of no known type"


def _size(dimension: int) -> str:
    return "any size" if dimension == -1 else str(dimension)
