"""What KServe v2 clients are told of the models."""

from collections.abc import Iterable
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from services.inference.deployments.follower import Follower
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import State
from services.inference.tensors.model import TensorSpec

_NS = 1_000_000_000


def model_metadata(loaded: Loaded) -> Any:
    """Names, element types and shapes of what goes in and comes out."""
    return service_pb2.ModelMetadataResponse(
        name=loaded.deployment.served_name,
        versions=[loaded.version_number],
        platform=loaded.batcher.platform,
        inputs=[_tensor_metadata(spec) for spec in loaded.signature.inputs],
        outputs=[_tensor_metadata(spec) for spec in loaded.signature.outputs],
    )


def model_config(loaded: Loaded) -> Any:
    """The same in Triton's notation, where the dimension that counts rows is left out."""
    batched = loaded.signature.batchable
    config = model_config_pb2.ModelConfig(
        name=loaded.deployment.served_name,
        platform=loaded.batcher.platform,
        max_batch_size=loaded.batcher.limits.max_batch_rows if batched else 0,
        input=[
            model_config_pb2.ModelInput(name=spec.name, data_type=_data_type(spec), dims=spec.shape[batched:])
            for spec in loaded.signature.inputs
        ],
        output=[
            model_config_pb2.ModelOutput(name=spec.name, data_type=_data_type(spec), dims=spec.shape[batched:])
            for spec in loaded.signature.outputs
        ],
    )
    return service_pb2.ModelConfigResponse(config=config)


def repository_index(followers: Iterable[Follower], *, ready_only: bool) -> Any:
    """Every deployment, in Triton's words: READY, LOADING or UNAVAILABLE, and why."""
    response = service_pb2.RepositoryIndexResponse()
    for follower in followers:
        status = follower.status
        ready = follower.loaded is not None
        if ready_only and not ready:
            continue
        response.models.add(
            name=follower.deployment.served_name,
            version=follower.loaded.version_number if follower.loaded else "",
            state="READY" if ready else "UNAVAILABLE" if status.state is State.FAILED else "LOADING",
            reason=status.failure,
        )
    return response


def model_statistics(models: Iterable[Loaded]) -> Any:
    """What each loaded version has done since it was loaded. Preparing inputs and outputs counts as computing."""
    response = service_pb2.ModelStatisticsResponse()
    for loaded in models:
        requests, batches = loaded.requests, loaded.batcher.counts
        statistics = response.model_stats.add(
            name=loaded.deployment.served_name,
            version=loaded.version_number,
            last_inference=requests.last_ms,
            inference_count=batches.rows,
            execution_count=batches.batches,
        )
        inference = statistics.inference_stats
        _set(inference.success, requests.succeeded, requests.succeeded_s)
        _set(inference.fail, sum(requests.failed.values()), requests.failed_s)
        _set(inference.queue, requests.succeeded, batches.queue_s)
        _set(inference.compute_infer, requests.succeeded, batches.engine_s)
        for rows, (count, seconds) in sorted(batches.by_rows.copy().items()):
            _set(statistics.batch_stats.add(batch_size=rows).compute_infer, count, seconds)
    return response


def _set(duration: Any, count: int, seconds: float) -> None:
    duration.count, duration.ns = count, int(seconds * _NS)


def _tensor_metadata(spec: TensorSpec) -> Any:
    return service_pb2.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _data_type(spec: TensorSpec) -> int:
    name = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return int(model_config_pb2.DataType.Value(f"TYPE_{name}"))
