"""A deployment's engine between protobuf and the domain."""

import dataclasses
from collections.abc import Iterable

from headwater.artifact.v1 import artifact_pb2
from headwater.inference.v1 import engines_pb2
from services.inference.engines.options import CPU, EngineOptions, InvalidEngine, Precision
from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.tensors.model import TensorSpec

_Autocast = engines_pb2.Engine.Autocast
_AUTOCAST = {
    Precision.NONE: _Autocast.AUTOCAST_UNSPECIFIED,
    Precision.BF16: _Autocast.AUTOCAST_BF16,
    Precision.FP16: _Autocast.AUTOCAST_FP16,
}
_PRECISIONS = {value: precision for precision, value in _AUTOCAST.items()}


def engine_from_proto(message: engines_pb2.Engine) -> EngineOptions:
    """How the model is to be computed; what is not said has its default.

    Raises:
        InvalidEngine: no engine could do it.
    """
    return EngineOptions(
        device=message.device or CPU,
        autocast=_PRECISIONS[message.autocast],
        threads=message.threads,
        instances=message.instances or 1,
        architecture=message.architecture,
        callable=message.callable,
        inputs=specs_from_proto(message.inputs),
        outputs=specs_from_proto(message.outputs),
        triton=_triton_from_proto(message.triton) if message.HasField("triton") else None,
    )


def engine_to_proto(options: EngineOptions) -> engines_pb2.Engine:
    """The same as the API shows it."""
    shown = engines_pb2.Engine(
        device=options.device,
        autocast=_AUTOCAST[options.autocast],
        threads=options.threads,
        instances=options.instances,
        architecture=options.architecture,
        callable=options.callable,
        inputs=[spec_to_proto(spec) for spec in options.inputs],
        outputs=[spec_to_proto(spec) for spec in options.outputs],
    )
    if options.triton is not None:
        shown.triton.CopyFrom(engines_pb2.TritonEndpoint(**dataclasses.asdict(options.triton)))
    return shown


def specs_from_proto(specs: Iterable[artifact_pb2.TensorSpec]) -> tuple[TensorSpec, ...]:
    """Tensors of a signature."""
    for spec in specs:
        if spec.HasField("begin_offset") or spec.HasField("end_offset"):
            raise InvalidEngine(f"{spec.name!r} is in no file and has no offset.", field="engine")
    return tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)) for spec in specs)


def _triton_from_proto(message: engines_pb2.TritonEndpoint) -> TritonEndpoint:
    return TritonEndpoint(message.address, message.model_name, message.model_version, message.tls)


def spec_to_proto(spec: TensorSpec) -> artifact_pb2.TensorSpec:
    return artifact_pb2.TensorSpec(name=spec.name, datatype=spec.datatype, shape=spec.shape)
