"""The settings of the inference service, beside those of every service."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from chassis.hosts import parse_hosts
from chassis.settings import Port, ServiceSettings
from services.inference.engines.code import check_code
from services.inference.engines.loader import Isolation
from services.inference.records.events.sinks import sink_from_url


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
    """Memory that one model may take for weights and activations, in bytes."""
    engine_isolation: Isolation = Isolation.PROCESS
    """``process``: each model computes in a process of its own, which takes nothing along when it ends. ``none``: ONNX
    models compute in the service's process, some microseconds faster, and share one bound of memory; only for models
    that are trusted. Other models always have a process."""
    engine_load_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """How long a model may take to load before its process is ended, in seconds."""
    engine_code: Annotated[dict[str, str], AfterValidator(check_code)] = Field(default_factory=dict)
    """Python functions that deployments may name as ``callable`` or ``architecture``: ``module:function@sha256:…`` by
    name, as JSON. See services/inference/engines/code.py."""
    conversion_timeout_s: Annotated[float, Field(gt=0, le=7 * 86_400)] = 3600.0
    """How long a conversion or tuning may take, in seconds."""
    conversion_memory_bytes: Annotated[int, Field(ge=2**24, le=2**44)] = 8 * 2**30
    """Memory that one may take, in bytes: it holds the model in several forms at once."""
    conversion_compiler: bool = False
    """Whether a tuning may start the C++ compiler (``g++``, below /usr) to measure ``torch.compile`` as well. Its
    process may then start any program that is installed there, confined as itself; bound the container's processes and
    memory, for each of those programs may take as much as the job. Processes that serve never may."""
    conversion_poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often new jobs are looked for, and cancelled ones noticed, in seconds."""
    conversion_lease_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """A job whose service is silent for so long is taken over by another one, in seconds."""
    triton_hosts: str = ""
    """The servers that deployments may name as ``engine.triton``, separated by commas: ``triton.example.com:8001``, or
    ``triton.corp:8001=10.1.2.3`` to allow a private address and to speak without TLS (libs/chassis/hosts.py)."""
    triton_ca_file: str = ""
    """The certificates, in PEM, that such servers are trusted by. Empty: those that the machine trusts."""
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
    flight_port: Port = 50075
    """The Arrow Flight port: records."""
    record_rotate_after_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """Records move from PostgreSQL into a Parquet file in object storage when the oldest is so old, in seconds."""
    record_rotate_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 200_000
    """They also move when there are so many; no file has more."""
    record_retention_s: Annotated[float, Field(ge=0)] = 0.0
    """Files of records, and feedback, are removed when everything in them is older, in seconds. 0: never."""
    record_body_retention_s: Annotated[float, Field(ge=0)] = 30 * 86_400.0
    """The same of the tensors that were recorded. 0: as long as the records."""
    request_log: Annotated[str, Field(pattern="^(|stdout|/.*)$")] = ""
    """Where a line of text for each request goes: ``stdout``, or the absolute path of a file. Empty: nowhere."""
    events_url: str = ""
    """Where records are sent as CloudEvents: ``https://host/path`` or ``file:///absolute/path``. Empty: nowhere."""
    events_hosts: str = ""
    """Hosts that events may be sent to, with ``,`` between them (see chassis.hosts)."""
    events_interval_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """How often new records are looked for to be sent, in seconds."""

    @model_validator(mode="after")
    def _sends_events_where_it_may(self) -> Self:
        if self.events_url:
            sink_from_url(self.events_url, self.events_hosts)
        elif self.events_hosts:
            raise ValueError("events_hosts is set and events_url is not")
        return self

    @field_validator("triton_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        parse_hosts(value)
        return value

    @field_validator("record_retention_s", "record_body_retention_s")
    @classmethod
    def _is_longer_than_records_wait(cls, value: float, info: ValidationInfo) -> float:
        if value and value < info.data.get("record_rotate_after_s", 0):
            raise ValueError("must be 0, or at least record_rotate_after_s: younger records are not in files yet")
        return value
