"""What a server says of its model, and whether that is what the registry says of the version."""

import dataclasses
from typing import Any

from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.engines.triton.errors import RemoteRefused
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.errors import shown
from services.inference.tensors.model import Signature, TensorSpec

DIGEST_PARAMETER = "headwater_model_digest"
"""The parameter of a model's configuration that says which version of the registry it is, by the version's digest."""


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """A remote model. ``max_rows`` is how many rows it takes at once; 0: it says no bound."""

    signature: Signature
    platform: str
    max_rows: int


def describe(metadata: Any, config: Any) -> Description:
    """What a server says.

    Raises:
        RemoteRefused: the model is of a kind that cannot be served: it keeps state, or answers more than once.
    """
    if config.HasField("sequence_batching"):
        raise RemoteRefused("The remote model keeps state between requests (sequence_batching), which is not served.")
    if config.model_transaction_policy.decoupled:
        raise RemoteRefused("The remote model answers a request several times (decoupled), which is not served.")
    signature = Signature(
        tuple(_spec(tensor) for tensor in metadata.inputs),
        tuple(_spec(tensor) for tensor in metadata.outputs),
        batchable=config.max_batch_size > 0 and bool(metadata.inputs),
    )
    return Description(signature, metadata.platform or "triton", config.max_batch_size)


def check_identity(config: Any, endpoint: TritonEndpoint, digest: str) -> None:
    """Go on if the server declares its model to be the version with this digest.

    Raises:
        RemoteRefused: it declares another one, or none.
    """
    declared = config.parameters[DIGEST_PARAMETER].string_value if DIGEST_PARAMETER in config.parameters else ""
    if declared == digest:
        return
    what = f"declares to be {shown(declared)}" if declared else "does not declare which version it is"
    wanted = f'parameters {{ key: "{DIGEST_PARAMETER}" value {{ string_value: "{digest}" }} }}'
    raise RemoteRefused(
        f"Model {endpoint.model_name} version {endpoint.model_version} of {endpoint.address} {what}; "
        f"its config.pbtxt must have: {wanted}"
    )


def check_signature(found: Signature, registered: Signature) -> None:
    """Go on if the remote model takes and gives what is registered with the version; what is not said fits anything.

    Raises:
        RemoteRefused: naming the tensor that differs.
    """
    for side in ("inputs", "outputs"):
        known = {spec.name: spec for spec in getattr(found, side)}
        wanted = {spec.name: spec for spec in getattr(registered, side)}
        if wanted and known.keys() != wanted.keys():
            raise RemoteRefused(f"The version has the {side} {_names(wanted)}; the remote model has {_names(known)}.")
        for name, spec in wanted.items():
            if not _fits(known[name], spec):
                raise RemoteRefused(
                    f"{shown(name)} is {spec.datatype} {list(spec.shape)} in the version and "
                    f"{known[name].datatype} {list(known[name].shape)} in the remote model."
                )


def _fits(known: TensorSpec, wanted: TensorSpec) -> bool:
    if wanted.datatype not in ("", known.datatype) or len(known.shape) != len(wanted.shape):
        return False
    return all(-1 in pair or pair[0] == pair[1] for pair in zip(known.shape, wanted.shape, strict=True))


def _spec(tensor: Any) -> TensorSpec:
    if tensor.datatype not in NUMPY_TYPES:
        raise RemoteRefused(
            f"{shown(tensor.name)} of the remote model is of the unknown type {shown(tensor.datatype)}."
        )
    return TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape))


def _names(specs: dict[str, TensorSpec]) -> str:
    return ", ".join(shown(name) for name in sorted(specs)[:8])
