"""The settings that every service has: environment variables ``HEADWATER_*``, read once, frozen, validated.

A service subclasses this in its own ``settings.py`` with its default ``port`` and its own knobs. A wrong value ends
the process with one sentence that names it (``chassis.process``).
"""

import ipaddress
import re
import urllib.parse
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "HEADWATER_"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]

_SECRET_NAME = re.compile(
    r"(password|secret|token|credential|authorization|cookie|(^|_)key)(_|$)(?!file)", re.IGNORECASE
)
_MASK = "***"


class ServiceSettings(BaseSettings):
    """What every service can be told. A port of 0 means: any free one (tests)."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback needs ``auth_key_file``."""
    port: Port = 0
    """The gRPC port."""
    admin_port: Port = 0
    """The admin HTTP port: ``/ok``, ``/varz``, ``/metrics``."""
    database_url: str = ""
    """``postgresql://user:password@host:port/database``."""
    database_pool_size: Annotated[int, Field(ge=1, le=1_000)] = 8
    """Connections to PostgreSQL, per process."""
    redis_url: str = ""
    """``redis://host:port/0``; caches and wake-up hints only."""
    blobs_url: str = ""
    """Where bytes are kept: ``file:///absolute/directory``, ``s3://…``, ``gs://…`` or ``az://…``."""
    auth_key_file: str = ""
    """The file with the key that signs tokens. Empty: authentication is off and only loopback may be listened on."""
    grace_s: Seconds = 10.0
    """How long calls in flight may go on after SIGTERM, in seconds."""
    max_message_bytes: Annotated[int, Field(ge=1024, le=2**31 - 1)] = 64 * 2**20
    """The largest gRPC message, in bytes, in both directions."""
    max_concurrent_calls: Annotated[int, Field(ge=1)] = 1024
    """gRPC calls in flight; the next one is refused with RESOURCE_EXHAUSTED and a retry hint."""
    check_interval_s: Annotated[float, Field(gt=0, le=3600)] = 2.0
    """How often the dependencies are asked whether they are there, in seconds."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    otlp_endpoint: str = ""
    """Where traces are sent (``http://collector:4317``). Empty: nowhere."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The share of requests that are traced when the caller has not decided it already."""
    registry_address: str = "127.0.0.1:50051"
    """Where the registry answers gRPC."""
    dataset_address: str = "127.0.0.1:50052"
    """Where the dataset service answers gRPC."""
    dataset_flight_address: str = "127.0.0.1:50062"
    """Where the dataset service answers Arrow Flight."""
    preprocessing_address: str = "127.0.0.1:50053"
    """Where the preprocessing service answers gRPC."""
    training_address: str = "127.0.0.1:50054"
    """Where the training scheduler answers gRPC."""
    inference_address: str = "127.0.0.1:50055"
    """Where the inference service answers gRPC."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def authenticated(self) -> bool:
        """Whether callers must show a token."""
        return bool(self.auth_key_file)

    @property
    def loopback(self) -> bool:
        """Whether ``host`` can be reached from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def redacted(self) -> dict[str, Any]:
        """Every setting, fit to be shown: passwords in URLs and values of secret settings are masked."""
        return {name: redact(name, value) for name, value in self.model_dump(mode="json").items()}


def redact(name: str, value: Any) -> Any:
    """``value`` of the setting or log field ``name``, with what must stay secret replaced by ``***``."""
    if value and _SECRET_NAME.search(name):
        return _MASK
    if isinstance(value, str) and "://" in value:
        return _mask_password(value)
    return value


def _mask_password(text: str) -> str:
    try:
        parts = urllib.parse.urlsplit(text)
        password = parts.password
    except ValueError:  # not a URL after all, so nobody can tell where its password would be
        return _MASK
    if password is None and not parts.query:
        return text
    place = parts.netloc.rpartition("@")[2]
    user = f"{parts.username or ''}:{_MASK}@" if password is not None else parts.netloc[: -len(place) or None]
    query = "&".join(_mask_parameter(parameter) for parameter in parts.query.split("&")) if parts.query else ""
    return urllib.parse.urlunsplit((parts.scheme, user + place, parts.path, query, parts.fragment))


def _mask_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    return f"{name}={_MASK}" if value and _SECRET_NAME.search(name) else parameter
