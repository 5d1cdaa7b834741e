"""The settings of the inference service, beside those of every service."""

from typing import Annotated

from pydantic import Field

from chassis.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables ``HEADWATER_*``."""

    port: Port = 50055
    """The gRPC port: KServe v2, deployments and records."""
    admin_port: Port = 51055
    """The admin HTTP port."""
    http_port: Port = 50065
    """The HTTP port: KServe v2 over REST."""
    server_name: Annotated[str, Field(min_length=1, max_length=255)] = "headwater"
    """What the server calls itself over KServe v2. Some clients of Triton insist on ``triton``."""
    shared_memory_prefixes: str = ""
    """The beginnings that keys of POSIX shared memory may have, separated by commas (``/headwater-``). Empty: clients
    may not register any."""
    resolve_interval_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """How often stages and aliases are resolved, in seconds: how soon a promotion is served."""
    engine_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads that compute one batch of one model; 0: one for each core."""
    engine_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """How long a batch may compute before it is stopped, in seconds."""
    engine_memory_bytes: Annotated[int, Field(ge=2**24, le=2**44)] = 4 * 2**30
    """Memory that all models of this process may take for weights and activations, in bytes."""
    max_model_bytes: Annotated[int, Field(ge=1, le=2**31 - 1)] = 2**31 - 1
    """The largest model file that is loaded, in bytes; ONNX ends at 2 GiB."""
    max_queue_bytes: Annotated[int, Field(ge=2**20)] = 256 * 2**20
    """Input tensors that may wait for one model, in bytes; their number is a deployment's own setting."""
    model_cache_dir: str = ""
    """Where copies of model files are kept, an absolute path. Empty: a temporary directory, removed at the end."""
    record_flush_interval_s: Annotated[float, Field(gt=0, le=0.2)] = 0.1
    """How long a record may wait before it is written, in seconds."""
    record_buffer_size: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Records that may wait while PostgreSQL is away (about 1 KB each); after that predictions are refused."""
    record_buffer_bytes: Annotated[int, Field(ge=2**20)] = 512 * 2**20
    """Tensors that may wait to be hashed for their records, in bytes; after that predictions are refused."""
