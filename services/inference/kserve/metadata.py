"""What KServe v2 clients are told of the models."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from services.inference.batching.options import Limits
from services.inference.deployments.follower import Follower
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import State
from services.inference.engines.triton.description import DIGEST_PARAMETER
from services.inference.tensors.model import TensorSpec

BATCH_SECONDS = "headwater_batch_seconds"
"""The parameter of a model's configuration that says how long batches take, measured: JSON, seconds by rows."""
_NS = 1_000_000_000
_INDEX_STATES = {State.FAILED: "UNAVAILABLE", State.UNLOADED: "UNAVAILABLE"}


def model_metadata(loaded: Loaded, versions: Sequence[str]) -> Any:
    """Names, element types and shapes of what goes in and comes out, and which versions can be asked."""
    return service_pb2.ModelMetadataResponse(
        name=loaded.deployment.served_name,
        versions=versions,
        platform=loaded.batcher.platform,
        inputs=[_tensor_metadata(spec) for spec in loaded.signature.inputs],
        outputs=[_tensor_metadata(spec) for spec in loaded.signature.outputs],
    )


def model_config(loaded: Loaded) -> Any:
    """The same in Triton's notation, where the dimension that counts rows is left out, and how requests are queued."""
    batched = loaded.signature.batchable
    policy = model_config_pb2.ModelVersionPolicy
    config = model_config_pb2.ModelConfig(
        name=loaded.deployment.served_name,
        platform=loaded.batcher.platform,
        backend=loaded.batcher.platform.partition("_")[0],
        default_model_filename=loaded.file.path,
        version_policy=policy(specific=policy.Specific(versions=_version_numbers(loaded))),
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
    if batched:
        config.dynamic_batching.CopyFrom(_dynamic_batching(loaded.batcher.limits))
    config.instance_group.add(
        name=loaded.deployment.served_name,
        count=loaded.batcher.instances,
        kind=model_config_pb2.ModelInstanceGroup.KIND_AUTO,
    )
    config.response_cache.enable = loaded.cache.enabled
    config.parameters[BATCH_SECONDS].string_value = json.dumps(
        {point.rows: round(point.seconds, 9) for point in loaded.batcher.curve.points()}
    )
    config.parameters[DIGEST_PARAMETER].string_value = loaded.version.digest  # another Headwater may build on this one
    return service_pb2.ModelConfigResponse(config=config)


def repository_index(followers: Iterable[Follower], *, ready_only: bool) -> Any:
    """Every version that can be asked, and every deployment that has none, in Triton's words: READY, LOADING or
    UNAVAILABLE, and why."""
    response = service_pb2.RepositoryIndexResponse()
    for follower in followers:
        name, status = follower.deployment.served_name, follower.status
        versions = version_numbers(follower)
        for version in versions:
            response.models.add(name=name, version=version, state="READY", reason=status.failure)
        if not versions and not ready_only:
            response.models.add(
                name=name,
                state=_INDEX_STATES.get(status.state, "LOADING"),
                reason="unloaded" if status.state is State.UNLOADED else status.why,
            )
    return response


def version_numbers(follower: Follower) -> Sequence[str]:
    """The versions of a deployment that can be asked, the main one first."""
    return list(dict.fromkeys(loaded.version_number for loaded in follower.versions()))


def model_statistics(models: Iterable[Loaded]) -> Any:
    """What each loaded version has done since it was loaded. Preparing inputs and outputs counts as computing; what the
    cache answered counts as an inference without an execution."""
    response = service_pb2.ModelStatisticsResponse()
    for loaded in models:
        requests, batches, cached = loaded.requests, loaded.batcher.counts, loaded.cache.counts
        statistics = response.model_stats.add(
            name=loaded.deployment.served_name,
            version=loaded.version_number,
            last_inference=requests.last_ms,
            inference_count=batches.rows + cached.hit_rows,
            execution_count=batches.batches,
        )
        inference = statistics.inference_stats
        _set(inference.success, requests.succeeded, requests.succeeded_s)
        _set(inference.fail, sum(requests.failed.values()), requests.failed_s)
        computed = max(requests.succeeded - cached.hits, 0)
        _set(inference.queue, computed, batches.queue_s)
        for part in (inference.compute_input, inference.compute_output):
            _set(part, computed, 0.0)
        _set(inference.compute_infer, computed, batches.engine_s)
        _set(inference.cache_hit, cached.hits, cached.hit_s)
        _set(inference.cache_miss, cached.misses, cached.miss_s)
        for rows, (count, seconds) in sorted(batches.by_rows.copy().items()):
            batch = statistics.batch_stats.add(batch_size=rows)
            for part in (batch.compute_input, batch.compute_output):
                _set(part, count, 0.0)
            _set(batch.compute_infer, count, seconds)
    return response


def _dynamic_batching(limits: Limits) -> Any:
    return model_config_pb2.ModelDynamicBatching(
        preferred_batch_size=limits.preferred_rows,
        max_queue_delay_microseconds=int(limits.max_delay_s * 1e6),
        priority_levels=limits.priority_levels,
        default_priority_level=limits.default_priority or limits.priority_levels,
        default_queue_policy=model_config_pb2.ModelQueuePolicy(
            max_queue_size=limits.max_queue_requests,
            default_timeout_microseconds=int(limits.queue_timeout_s * 1e6),
            allow_timeout_override=True,
        ),
    )


def _version_numbers(loaded: Loaded) -> list[int]:
    """Triton's versions are whole numbers; a semantic version is none."""
    return [int(loaded.version_number)] if loaded.version_number.isdigit() else []


def _set(duration: Any, count: int, seconds: float) -> None:
    duration.count, duration.ns = count, int(seconds * _NS)


def _tensor_metadata(spec: TensorSpec) -> Any:
    return service_pb2.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _data_type(spec: TensorSpec) -> int:
    name = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return int(model_config_pb2.DataType.Value(f"TYPE_{name}"))
